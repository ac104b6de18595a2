import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { HeadObjectCommand, PutBucketEncryptionCommand } from '@aws-sdk/client-s3';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ServerEncryption } from '../../src/core/server-encryption.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { S3EncryptionRequest, S3Settings } from '../../src/storage/store-settings.ts';
import {
  directClient,
  kmsKey,
  makeBucket,
  openTestStore,
  placeOf,
  s3Traits,
  secureServer,
  withEncryption,
  withServer,
} from '../support/s3-server.ts';
import { ThrowawayBucket } from '../support/s3-throwaway-bucket.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const traits = s3Traits();
const large = randomLookingBytes(20 * 1024 * 1024);
const keyDigest = createHash('md5').update(Buffer.alloc(32, 7)).digest('base64');

/** What both sizes of upload are asked for. */
const bodies = { 'a small object': Buffer.from('x'), 'an object of several parts': large };

function assertApplied(applied: ServerEncryption | undefined, method: S3EncryptionRequest['method']): void {
  assert.equal(applied?.method, method);
  if (applied?.method === 'sse-kms') assert.match(applied.keyId ?? '', new RegExp(`(^|:)${kmsKey}$`));
  if (applied?.method === 'sse-c') assert.equal(applied.keyDigest, keyDigest);
}

describe('server-side encryption of S3', () => {
  before(async () => {
    await makeBucket();
    await makeBucket(undefined, secureServer());
  });

  for (const method of traits.encryptions) {
    for (const [what, bytes] of Object.entries(bodies)) {
      it(`keeps ${what} under ${method}, and says so`, async () => {
        await using store = await openTestStore({ s3: withEncryption(method), requireEncryption: true });
        assertApplied((await store.put('a', streamOf(bytes))).serverEncryption, method);
        assertApplied((await store.head('a'))?.serverEncryption, method);
        assert.ok((await readAll(store.get('a'))).equals(bytes));
      });
    }
  }

  it('takes the encryption context of a KMS key', async () => {
    const encryption = { method: 'sse-kms', keyId: kmsKey, context: { purpose: 'backup ü' } } as const;
    await using store = await openTestStore({ s3: { encryption } });
    assertApplied((await store.put('a', streamOf('x'))).serverEncryption, 'sse-kms');
  });

  // Neither of the test servers has bucket keys, nor refuses the header that asks for one.
  for (const [what, bytes] of Object.entries(bodies)) {
    it(`removes ${what} that the server stored without the bucket key asked for`, async () => {
      await using made = await ThrowawayBucket.make('versioned');
      const encryption = { method: 'sse-kms', keyId: kmsKey, bucketKey: true } as const;
      await using store = await openStore(`s3://${made.name}/p`, withServer({ s3: { encryption } }));
      await assert.rejects(store.put('a', streamOf(bytes)), {
        kind: 'policy',
        message: /asked for a bucket key, but does not say that it uses one$/,
      });
      assert.deepEqual(await made.versions(), []);
    });
  }

  it('says key when the KMS does not know the key', async () => {
    const encryption = { method: 'sse-kms', keyId: 'no-such-key' } as const;
    await using store = await openTestStore({ s3: { encryption } });
    for (const bytes of Object.values(bodies)) {
      await assert.rejects(store.put('a', streamOf(bytes)), {
        kind: 'key',
        message: /cannot store "a" in "s3:.*KMS does not know the key/,
        hint: /--sse-kms-key/,
      });
    }
    assert.deepEqual(await listAll(store.list('')), []);
  });

  it('says config for an encryption that the server does not know', async () => {
    await using store = await openTestStore({ s3: withEncryption('dsse-kms') });
    await assert.rejects(store.put('a', streamOf('x')), { kind: 'config', message: /does not know the encryption/ });
    assert.deepEqual(await listAll(store.list('')), []);
  });

  // Only where the server takes the header and ignores it.
  for (const kind of traits.ignoresSseS3 ? (['plain', 'versioned'] as const) : []) {
    it(`removes what the server stored without the encryption asked for (${kind} bucket)`, async () => {
      await using made = await ThrowawayBucket.make(kind);
      await using store = await openStore(`s3://${made.name}/p`, withServer({ s3: withEncryption('sse-s3') }));
      for (const bytes of Object.values(bodies)) {
        await assert.rejects(store.put('a', streamOf(bytes)), {
          kind: 'policy',
          message: /does not keep "a" in "s3:.* as asked: it was asked for sse-s3, but does not say/,
          hint: /encryption/,
        });
      }
      assert.deepEqual(await made.versions(), []);
    });
  }
});

describe('encryption that is required of an S3 server', () => {
  for (const [what, bytes] of Object.entries(bodies)) {
    it(`refuses ${what} that the server would not encrypt, and keeps nothing`, async () => {
      await using made = await ThrowawayBucket.make('versioned');
      await using store = await openStore(`s3://${made.name}`, withServer({ requireEncryption: true }));
      await assert.rejects(store.put('a', streamOf(bytes)), { kind: 'policy', message: /encryption is required/ });
      assert.deepEqual(await made.versions(), []);
    });
  }

  if (traits.knowsDefaultEncryption) {
    it('reads nothing of a body for a bucket without default encryption, and takes it once it has one', async () => {
      await using made = await ThrowawayBucket.make();
      await using store = await openStore(`s3://${made.name}`, withServer({ requireEncryption: true }));
      let isRead = false;
      async function* body(): AsyncGenerator<Uint8Array> {
        isRead = true;
        yield Buffer.from('x');
      }
      await assert.rejects(store.put('a', body()), { kind: 'policy', message: /has no default encryption/ });
      assert.equal(isRead, false);
      const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } } as const];
      await made.client.send(
        new PutBucketEncryptionCommand({ Bucket: made.name, ServerSideEncryptionConfiguration: { Rules } }),
      );
      assertApplied((await store.put('a', body())).serverEncryption, 'sse-s3');
    });
  }

  it('says notFound for a bucket that does not exist', async () => {
    const settings = withServer({ requireEncryption: true, lock: { legalHold: true } });
    await using store = await openStore('s3://no-such-bucket', settings);
    await assert.rejects(store.put('a', streamOf('x')), { kind: 'notFound', message: /bucket does not exist/ });
  });
});

describe("customers' keys of S3", () => {
  const right = withEncryption('sse-c');
  const wrong = withEncryption('sse-c', 8);
  const none = secureServer();

  async function openThree(): Promise<Record<'right' | 'wrong' | 'none', Awaited<ReturnType<typeof openStore>>>> {
    const store = await openTestStore({ s3: right });
    const open = async (s3: S3Settings) => await openStore(store.url, withServer({ s3 }));
    return { right: store, wrong: await open(wrong), none: await open(none) };
  }

  it('says key for a read and a look without the key, and names the option', async () => {
    const stores = await openThree();
    await stores.right.put('a', streamOf('x'));
    const expected = {
      kind: 'key',
      message: /"a" in "s3:.*: it is encrypted with a customer's key/,
      hint: /--sse-c-key/,
    };
    await assert.rejects(readAll(stores.none.get('a')), expected);
    await assert.rejects(stores.none.head('a'), expected);
  });

  it('says key for a read and a look with another key', async () => {
    const stores = await openThree();
    await stores.right.put('a', streamOf('x'));
    const expected = { kind: 'key', message: /another customer's key/, hint: /--sse-c-key/ };
    await assert.rejects(readAll(stores.wrong.get('a')), expected);
    await assert.rejects(stores.wrong.head('a'), expected);
  });

  it('sees a conflict with an object under another key', async () => {
    const stores = await openThree();
    await stores.right.put('a', streamOf('x'));
    for (const store of [stores.wrong, stores.none]) {
      await assert.rejects(store.put('a', streamOf('y'), { createOnly: true }), { kind: 'conflict' });
    }
    assert.equal((await readAll(stores.right.get('a'))).toString(), 'x');
  });

  it('still reads what was stored without a key', async () => {
    const stores = await openThree();
    await stores.none.put('a', streamOf(large));
    assert.ok((await readAll(stores.right.get('a'))).equals(large));
    const head = await stores.right.head('a');
    assert.equal(head?.sizeBytes, large.byteLength);
    assert.equal(head.serverEncryption, undefined);
    assert.equal(await stores.right.head('none'), null);
  });
});

if (traits.knowsChecksums) {
  describe('checksums that an S3 server verifies', () => {
    it('has a checksum of the whole object, also of one in parts', async () => {
      await using store = await openTestStore();
      const { bucket, prefix } = placeOf(store);
      const client = await directClient();
      for (const [key, bytes] of Object.entries(bodies)) {
        await store.put(key, streamOf(bytes));
        const head = await client.send(
          new HeadObjectCommand({ Bucket: bucket, Key: `${prefix}/${key}`, ChecksumMode: 'ENABLED' }),
        );
        assert.equal(head.ChecksumType, 'FULL_OBJECT');
        assert.match(head.ChecksumCRC32 ?? '', /^[A-Za-z0-9+/]{6}==$/);
      }
      client.destroy();
    });
  });
}
