import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { CannedHttp } from '../support/canned-http.ts';
import { impatient } from '../support/canned-s3.ts';
import { Refusal } from '../support/gcs-double-objects.ts';
import { GcsDouble } from '../support/gcs-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

interface Expected {
  readonly kind: string;
  readonly message: RegExp;
  readonly hint?: RegExp;
}

describe('errors of Google Cloud Storage', () => {
  let double: GcsDouble;
  let store: ObjectStore;

  beforeEach(async () => {
    double = await GcsDouble.start('bucket');
    store = await openStore(
      'gs://bucket/pre fix',
      { gcs: { endpoint: double.endpoint }, uploadMemoryBytes: 32 * 1024 * 1024 },
      { timings: impatient },
    );
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await double[Symbol.asyncDispose]();
  });

  interface Case extends Expected {
    readonly refusal: Refusal;
    readonly calls?: number;
  }
  const cases: Readonly<Record<string, Case>> = {
    'a denied permission': {
      refusal: new Refusal(403, 'forbidden', 'a@b does not have storage.objects.create access to the object.'),
      kind: 'access',
      message: /permission denied/,
      hint: /role/,
    },
    'credentials that are not accepted': {
      refusal: new Refusal(401, 'authError', 'Invalid Credentials'),
      kind: 'access',
      message: /does not accept the credentials/,
      hint: /GOOGLE_APPLICATION_CREDENTIALS/,
    },
    'a project without billing': {
      refusal: new Refusal(403, 'accountDisabled', 'The billing account is disabled in state absent'),
      kind: 'access',
      message: /billing/,
    },
    'a bucket that does not exist': {
      refusal: new Refusal(404, 'notFound', 'The specified bucket does not exist.'),
      kind: 'notFound',
      message: /the bucket does not exist/,
      hint: /Create the bucket/,
    },
    'a quota that is used up': {
      refusal: new Refusal(403, 'quotaExceeded', 'The quota has been exceeded.'),
      kind: 'storage',
      message: /quota/,
      hint: /Raise the quota/,
    },
    'too many requests': {
      refusal: new Refusal(
        429,
        'rateLimitExceeded',
        'The object exceeded the rate limit for object mutation operations',
      ),
      kind: 'storage',
      message: /overloaded/,
      calls: 3,
    },
    'a rate limit that comes as 403': {
      refusal: new Refusal(403, 'userRateLimitExceeded', 'The total number of changes exceeds'),
      kind: 'storage',
      message: /overloaded/,
      calls: 3,
    },
    'a request that took too long': {
      refusal: new Refusal(408, 'uploadBrokenConnection', 'The request timed out'),
      kind: 'storage',
      message: /timed out \(uploadBrokenConnection, HTTP 408\)/,
      calls: 3,
    },
    'an internal error': {
      refusal: new Refusal(500, 'internalError', 'Internal error'),
      kind: 'storage',
      message: /Internal error \(internalError, HTTP 500\)/,
      calls: 3,
    },
    'a KMS key that is not there': {
      refusal: new Refusal(400, 'cloudKmsEncryptionKeyNotFound', 'Cloud KMS encryption key not found.'),
      kind: 'key',
      message: /Cloud KMS key cannot be used: .*not found/,
    },
    'a KMS key that is disabled': {
      refusal: new Refusal(400, 'cloudKmsDisabledKey', 'Cloud KMS key is disabled.'),
      kind: 'key',
      message: /disabled/,
    },
    'a policy of the organisation': {
      refusal: new Refusal(412, 'orgPolicyConstraintFailed', 'Constraint violated'),
      kind: 'policy',
      message: /policy of the organisation/,
    },
    'an error that nobody knows': {
      refusal: new Refusal(418, 'constructor', 'I am a teapot'),
      kind: 'storage',
      message: /I am a teapot \(constructor, HTTP 418\)/,
    },
  };
  for (const [name, { refusal, kind, message, hint = /^|\.$/, calls = 1 }] of Object.entries(cases)) {
    it(`says ${kind} for ${name}`, async () => {
      double.refuse(/^POST /, refusal, 100);
      await assert.rejects(store.put('a/b', streamOf('x')), (error: Error & { kind?: string; hint?: string }) => {
        assert.equal(error.kind, kind);
        assert.match(error.message, message);
        assert.match(error.message, /^cannot store "a\/b" in "gs:\/\/bucket\/pre fix": /);
        assert.match(error.hint ?? '', hint);
        return true;
      });
      assert.equal(double.requests.length, calls);
    });
  }

  const rights = {
    create: async () => await store.put('b', streamOf('x')),
    list: async () => await listAll(store.list('')),
    delete: async () => await store.delete(['a']),
    get: async () => await readAll(store.get('a')),
  } as const;
  for (const [right, call] of Object.entries(rights)) {
    it(`says access when only the right to ${right} is missing`, async () => {
      await store.put('a', streamOf('x'));
      double.bucket('bucket').denied.add(right as keyof typeof rights);
      await assert.rejects(call, { kind: 'access', message: /permission denied/, hint: /docs\/stores\.md/ });
    });
  }

  it('stores, create-only too, with the right to create alone', async () => {
    for (const right of ['list', 'delete', 'get'] as const) double.bucket('bucket').denied.add(right);
    await store.put('a', streamOf('x'), { createOnly: true });
    await assert.rejects(store.put('a', streamOf('x'), { createOnly: true }), { kind: 'conflict' });
    const large = await store.put('b', streamOf(randomLookingBytes(9 * 1024 * 1024)), { createOnly: true });
    assert.equal(large.sizeBytes, 9 * 1024 * 1024);
  });

  it('says notFound for a bucket that does not exist, whatever is asked of it', async () => {
    await using missing = await openStore(
      'gs://missing',
      { gcs: { endpoint: double.endpoint } },
      { timings: impatient },
    );
    const expected = { kind: 'notFound', message: /the bucket does not exist/, hint: /bucket/ };
    await assert.rejects(missing.put('a', streamOf('x')), expected);
    await assert.rejects(missing.put('a', streamOf('x'), { createOnly: true }), expected);
    await assert.rejects(missing.delete(['a']), expected);
    await assert.rejects(missing.delete(['a', 'b']), expected);
    await assert.rejects(missing.head('a'), expected);
    await assert.rejects(readAll(missing.get('a')), expected);
    await assert.rejects(listAll(missing.list('')), expected);
  });

  it('goes on to delete when one object cannot be deleted, and says which one', async () => {
    for (const key of ['a', 'b', 'c']) await store.put(key, streamOf(key));
    double.refuse(/^DELETE \S+%2Fb/, new Refusal(403, 'forbidden', ''));
    await assert.rejects(store.delete(['a', 'b', 'c']), { kind: 'access', message: /cannot delete "b" in/ });
    assert.deepEqual(
      (await listAll(store.list(''))).map(({ key }) => key),
      ['b'],
    );
  });

  it('keeps what lies beside its prefix, whatever is in the prefix', async () => {
    for (const prefix of ['pre fix', 'a+b%20c', 'ünï/日本語', 'quote\'"<&>#?'.replace(/[#?]/g, '')]) {
      const gcs = { endpoint: double.endpoint };
      await using inner = await openStore(`gs://bucket/${prefix}`, { gcs });
      await using outer = await openStore('gs://bucket', { gcs });
      await outer.put(`${prefix}-beside/a`, streamOf('foreign'));
      await inner.put('a', streamOf('own'));
      assert.deepEqual(
        (await listAll(inner.list(''))).map(({ key }) => key),
        ['a'],
      );
      assert.notEqual(double.object('bucket', `${prefix}/a`), undefined);
      assert.equal((await readAll(inner.get('a'))).toString(), 'own');
    }
  });
});

describe('a server that is not Google Cloud Storage', () => {
  const answers = {
    'a web page': { status: 200, body: '<!doctype html><title>hello</title>' },
    'other JSON': { status: 200, body: '{"hello":1}' },
  };
  for (const [what, answer] of Object.entries(answers)) {
    it(`is recognised when it answers with ${what}`, async () => {
      await using server = await CannedHttp.start(() => answer);
      await using store = await openStore(
        'gs://bucket',
        { gcs: { endpoint: server.endpoint } },
        { timings: impatient },
      );
      const expected = { kind: 'storage', message: /does not come from Cloud Storage/, hint: /endpoint/ };
      await assert.rejects(store.put('a', streamOf('x')), expected);
      await assert.rejects(store.head('a'), expected);
    });
  }

  it('is not listed as empty', async () => {
    await using server = await CannedHttp.start(() => ({ status: 200, body: '{"hello":1}' }));
    await using store = await openStore('gs://bucket', { gcs: { endpoint: server.endpoint } }, { timings: impatient });
    await assert.rejects(listAll(store.list('')), { kind: 'storage', message: /does not come from Cloud Storage/ });
  });

  it('is not read when it does not answer with a range', async () => {
    await using server = await CannedHttp.start(() => ({ status: 200, body: Buffer.alloc(6 * 1024 * 1024) }));
    await using store = await openStore('gs://bucket', { gcs: { endpoint: server.endpoint } }, { timings: impatient });
    await assert.rejects(readAll(store.get('a')), { kind: 'storage', message: /does not answer range requests/ });
  });

  it('does not get to choose where the bytes of an upload go', async () => {
    await using elsewhere = await CannedHttp.start(() => ({ status: 200 }));
    const location = `${elsewhere.endpoint}/session?upload_id=1`;
    await using server = await CannedHttp.start(({ method }) =>
      method === 'POST' ? { status: 200, headers: { location } } : { status: 410 },
    );
    const settings = { gcs: { endpoint: server.endpoint }, uploadMemoryBytes: 32 * 1024 * 1024 };
    await using store = await openStore('gs://bucket', settings, { timings: impatient });
    await assert.rejects(store.put('a', streamOf(randomLookingBytes(9 * 1024 * 1024))), { kind: 'storage' });
    assert.equal(elsewhere.requests.length, 0);
    assert.equal(server.requests.find(({ method }) => method === 'PUT')?.path, '/session?upload_id=1');
  });
});
