import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import {
  assertUsableEncryption,
  contextDifference,
  encryptionDifference,
  encryptionInput,
  encryptionOf,
  isSameKmsKey,
} from '../../src/storage/s3-encryption.ts';
import { lockDifference, lockInput, lockOf, toObjectLock } from '../../src/storage/s3-lock.ts';

const arn = 'arn:aws:kms:eu-central-1:111122223333';

describe('names of KMS keys', () => {
  const cases: readonly (readonly [asked: string, answered: string, isSame: boolean])[] = [
    ['1234abcd-12ab', `${arn}:key/1234abcd-12ab`, true],
    [`${arn}:key/1234abcd-12ab`, `${arn}:key/1234abcd-12ab`, true],
    [`${arn}:key/1234abcd-12ab`, '1234abcd-12ab', true],
    ['mrk-12', `${arn}:key/mrk-12`, true],
    ['1234abcd-12ab', `${arn}:key/1234abcd-99ff`, false],
    [`${arn}:key/1234abcd-12ab`, 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab', false],
    [`${arn}:key/1234abcd-12ab`, 'arn:aws:kms:eu-central-1:999988887777:key/1234abcd-12ab', false],
    ['alias/backups', `${arn}:key/1234abcd-12ab`, true],
    [`${arn}:alias/backups`, `${arn}:key/1234abcd-12ab`, true],
    [`${arn}:alias/backups`, 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab', false],
    ['alias/backups', 'alias/backups', true],
    ['alias/backups', 'alias/others', false],
    ['alias/backups', 'backups', false],
    ['minio-key', 'arn:aws:kms:minio-key', true],
    ['minio-key', 'arn:aws:kms:other-key', false],
    ['arn:aws:kms:minio-key', 'minio-key', true],
    ['testkey-1', 'testkey-1', true],
    ['testkey-1', 'testkey-10', false],
    ['', 'testkey-1', false],
  ];
  for (const [asked, answered, isSame] of cases) {
    it(`${isSame ? 'takes' : 'does not take'} ${answered} for "${asked}"`, () => {
      assert.equal(isSameKmsKey(asked, answered), isSame);
    });
  }
});

describe('server-side encryption that S3 is asked for', () => {
  it('is said in the words of the protocol', () => {
    assert.deepEqual(encryptionInput(undefined), {});
    assert.deepEqual(encryptionInput({ method: 'sse-s3' }), { ServerSideEncryption: 'AES256' });
    assert.deepEqual(encryptionInput({ method: 'sse-kms' }), { ServerSideEncryption: 'aws:kms' });
    assert.deepEqual(encryptionInput({ method: 'sse-kms', keyId: 'k', context: { a: 'ü' }, bucketKey: true }), {
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'k',
      SSEKMSEncryptionContext: Buffer.from('{"a":"ü"}').toString('base64'),
      BucketKeyEnabled: true,
    });
    assert.deepEqual(encryptionInput({ method: 'dsse-kms', keyId: 'k' }), {
      ServerSideEncryption: 'aws:kms:dsse',
      SSEKMSKeyId: 'k',
    });
    const key = new Secret(Buffer.alloc(32, 1));
    assert.deepEqual(encryptionInput({ method: 'sse-c', key }), {
      SSECustomerAlgorithm: 'AES256',
      SSECustomerKey: Buffer.alloc(32, 1).toString('base64'),
    });
  });

  it('is compared with what was applied', () => {
    const key = new Secret(Buffer.alloc(32, 1));
    const keyDigest = 'xl5dm9PKoKFNEQWGySXQMA==';
    const said = encryptionOf({ SSECustomerAlgorithm: 'AES256', SSECustomerKeyMD5: keyDigest });
    assert.deepEqual(said, { method: 'sse-c', keyDigest });
    const other = { method: 'sse-c', keyDigest: 'AAAA' } as const;
    assert.equal(encryptionDifference(undefined, undefined), null);
    assert.equal(encryptionDifference({ method: 'sse-s3' }, { method: 'sse-s3' }), null);
    assert.equal(encryptionDifference({ method: 'sse-kms' }, { method: 'sse-kms', keyId: 'any' }), null);
    assert.match(encryptionDifference({ method: 'sse-c', key }, other) ?? '', /used another key/);
    assert.match(encryptionDifference({ method: 'sse-c', key }, undefined) ?? '', /does not say/);
    assert.match(encryptionDifference({ method: 'sse-kms' }, { method: 'sse-s3' }) ?? '', /sse-kms, but used sse-s3/);
    assert.match(
      encryptionDifference({ method: 'dsse-kms' }, { method: 'sse-kms' }) ?? '',
      /dsse-kms, but used sse-kms/,
    );
    const asked = { method: 'sse-kms', keyId: 'mine' } as const;
    assert.match(
      encryptionDifference(asked, { method: 'sse-kms', keyId: 'yours' }) ?? '',
      /with key "mine", but used sse-kms with key "yours"/,
    );
    assert.notEqual(encryptionDifference(asked, { method: 'sse-kms' }), null);
  });

  it('is compared with the bucket key that was applied, where one was asked for or refused', () => {
    const asked = (bucketKey?: boolean) => ({ method: 'sse-kms', bucketKey }) as const;
    const applied = (bucketKey?: boolean) =>
      ({ method: 'sse-kms', ...(bucketKey !== undefined && { bucketKey }) }) as const;
    for (const bucketKey of [true, false, undefined]) {
      assert.equal(encryptionDifference(asked(), applied(bucketKey)), null);
    }
    assert.equal(encryptionDifference(asked(true), applied(true)), null);
    assert.equal(encryptionDifference(asked(false), applied(false)), null);
    assert.equal(encryptionDifference(asked(false), applied()), null);
    for (const said of [applied(false), applied()]) {
      assert.equal(
        encryptionDifference(asked(true), said),
        'it was asked for a bucket key, but does not say that it uses one',
      );
    }
    assert.equal(encryptionDifference(asked(false), applied(true)), 'it was asked for no bucket key, but used one');
  });

  it('is compared with the encryption context, where the server names one', () => {
    const encode = (context: unknown) => Buffer.from(JSON.stringify(context)).toString('base64');
    const asked = { method: 'sse-kms', context: { purpose: 'ü', team: 'db' } } as const;
    const same = [
      undefined,
      encode({ team: 'db', purpose: 'ü' }),
      // Amazon adds its own.
      encode({ purpose: 'ü', team: 'db', 'aws:s3:arn': 'arn:aws:s3:::b/a' }),
      'no context that anybody can read',
    ];
    for (const answered of same) assert.equal(contextDifference(asked, answered), null, answered);
    for (const answered of [encode({}), encode({ purpose: 'ü' }), encode({ purpose: 'u', team: 'db' })]) {
      assert.match(contextDifference(asked, answered) ?? '', /another encryption context/, answered);
    }
    assert.equal(contextDifference({ method: 'sse-kms' }, encode({ purpose: 'x' })), null);
    assert.equal(contextDifference(undefined, encode({ purpose: 'x' })), null);
    assert.equal(contextDifference({ method: 'sse-s3' }, encode({ purpose: 'x' })), null);
  });

  it('is read from answers, and nothing is made of unknown ones', () => {
    assert.equal(encryptionOf({}), undefined);
    assert.equal(encryptionOf({ ServerSideEncryption: 'aws:fsx' }), undefined);
    assert.deepEqual(encryptionOf({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'k', BucketKeyEnabled: true }), {
      method: 'sse-kms',
      keyId: 'k',
      bucketKey: true,
    });
    assert.deepEqual(encryptionOf({ ServerSideEncryption: 'aws:kms:dsse' }), { method: 'dsse-kms' });
  });

  it("wants a customer's key of 32 bytes, and sends it in the clear to this machine only", () => {
    const request = (bytes: number) => ({ method: 'sse-c', key: new Secret(Buffer.alloc(bytes)) }) as const;
    assert.throws(() => assertUsableEncryption(request(31), undefined), { kind: 'key', message: /31 bytes/ });
    assert.throws(() => assertUsableEncryption(request(32), 'http://minio.example'), {
      kind: 'config',
      message: /without TLS/,
    });
    for (const endpoint of [undefined, 'https://minio.example', 'http://127.0.0.1:9000', 'http://localhost']) {
      assertUsableEncryption(request(32), endpoint);
    }
  });
});

describe('locks that S3 is asked for', () => {
  const now = new Date('2026-11-24T10:00:00.001Z');

  it('last at least as long as asked for, to a whole second', () => {
    const lock = toObjectLock({ retention: { mode: 'compliance', durationMs: 60_000 }, legalHold: true }, now);
    assert.deepEqual(lock, { retention: { mode: 'compliance', until: '2026-11-24T10:01:01.000Z' }, legalHold: true });
    assert.deepEqual(lockInput(lock), {
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: new Date('2026-11-24T10:01:01.000Z'),
      ObjectLockLegalHoldStatus: 'ON',
    });
    assert.deepEqual(lockInput({ legalHold: false }), {});
    assert.deepEqual(lockInput(undefined), {});
  });

  it('are read from answers', () => {
    const until = new Date('2026-12-01T00:00:00Z');
    assert.equal(lockOf({}), undefined);
    assert.equal(lockOf({ ObjectLockMode: 'SOMETHING', ObjectLockRetainUntilDate: until }), undefined);
    assert.deepEqual(lockOf({ ObjectLockLegalHoldStatus: 'OFF' }), { legalHold: false });
    assert.deepEqual(lockOf({ ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: until }), {
      retention: { mode: 'governance', until: '2026-12-01T00:00:00.000Z' },
      legalHold: false,
    });
  });

  it('are compared with what was applied', () => {
    const retention = { mode: 'governance', until: '2026-12-01T00:00:00.000Z' } as const;
    const asked = { retention, legalHold: false };
    const longer = { ...retention, until: '2026-12-02T00:00:00.000Z' };
    const shorter = { ...retention, until: '2026-11-30T00:00:00.000Z' };
    assert.equal(lockDifference(asked, { retention, legalHold: true }), null);
    assert.equal(lockDifference(asked, { retention: longer, legalHold: false }), null);
    assert.match(lockDifference(asked, { retention: shorter, legalHold: false }) ?? '', /until 2026-11-30/);
    assert.match(
      lockDifference(asked, { retention: { ...longer, mode: 'compliance' }, legalHold: false }) ?? '',
      /locked it \(compliance\)/,
    );
    assert.match(lockDifference(asked, undefined) ?? '', /does not say that it is locked/);
    assert.match(lockDifference({ legalHold: true }, { legalHold: false }) ?? '', /legal hold/);
    assert.equal(lockDifference({ legalHold: false }, undefined), null);
  });
});
