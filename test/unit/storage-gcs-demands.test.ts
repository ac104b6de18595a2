import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { LockRequest } from '../../src/core/object-lock.ts';
import { Secret } from '../../src/core/secret.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { GcsSettings, StoreSettings } from '../../src/storage/store-settings.ts';
import { impatient } from '../support/canned-s3.ts';
import { Refusal } from '../support/gcs-double-objects.ts';
import type { Misbehaviour } from '../support/gcs-double-uploads.ts';
import { GcsDouble } from '../support/gcs-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { randomLookingBytes, readAll, sha256 } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;
const keyName = 'projects/p/locations/eu/keyRings/r/cryptoKeys/k';
const hour = 3600_000;
const bodies = { 'a small body': randomLookingBytes(10), 'a body of several parts': randomLookingBytes(17 * mebibyte) };

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

let double: GcsDouble;
beforeEach(async () => {
  double = await GcsDouble.start('bucket');
  double.kmsKeys.add(keyName);
});
afterEach(async () => await double[Symbol.asyncDispose]());

async function open(settings: StoreSettings = {}): Promise<ObjectStore> {
  const gcs = { endpoint: double.endpoint, ...settings.gcs };
  return await openStore(
    'gs://bucket/p',
    { uploadMemoryBytes: 32 * mebibyte, ...settings, gcs },
    { timings: impatient },
  );
}

function customerKey(fill: number): GcsSettings {
  return { encryption: { method: 'gcs-csek', key: new Secret(new Uint8Array(32).fill(fill)) } };
}

const kms: GcsSettings = { encryption: { method: 'gcs-cmek', keyName } };

describe('encryption by Google Cloud Storage', () => {
  for (const [what, body] of Object.entries(bodies)) {
    it(`encrypts ${what} with a Cloud KMS key, and says so`, async () => {
      await using store = await open({ gcs: kms, requireEncryption: true });
      const put = await store.put('a', streamOf(body));
      assert.deepEqual(put.serverEncryption, { method: 'gcs-cmek', keyName });
      assert.deepEqual((await store.head('a'))?.serverEncryption, { method: 'gcs-cmek', keyName });
      await using plain = await open();
      assert.equal(sha256(await readAll(plain.get('a'))), sha256(body));
    });

    it(`encrypts ${what} with a customer-supplied key, which is needed to read it`, async () => {
      await using store = await open({ gcs: customerKey(1) });
      const put = await store.put('a', streamOf(body));
      assert.equal(put.serverEncryption?.method, 'gcs-csek');
      assert.deepEqual((await store.head('a'))?.serverEncryption, put.serverEncryption);
      assert.equal(sha256(await readAll(store.get('a'))), sha256(body));
      await using other = await open({ gcs: customerKey(2) });
      await using none = await open();
      const hint = /Give the key/;
      await assert.rejects(readAll(other.get('a')), { kind: 'key', message: /"a" in "gs:.*another customer-/, hint });
      await assert.rejects(readAll(none.get('a')), { kind: 'key', message: /none was given/, hint });
      assert.notEqual(await none.head('a'), null);
      await none.delete(['a']);
    });

    const ignored: readonly (readonly [Misbehaviour, GcsSettings, RegExp])[] = [
      [{ ignoreKmsKey: true }, kms, /encrypted it with gcs-managed instead of gcs-cmek \(projects/],
      [{ ignoreCustomerKey: true }, customerKey(1), /encrypted it with gcs-managed instead of gcs-csek/],
    ];
    for (const [misbehaviour, gcs, message] of ignored) {
      it(`keeps nothing of ${what} when the server does not apply ${gcs.encryption?.method}`, async () => {
        Object.assign(double.misbehaviour, misbehaviour);
        await using store = await open({ gcs });
        await assert.rejects(store.put('a', streamOf(body)), { kind: 'policy', message });
        assert.equal(await store.head('a'), null);
      });
    }
  }

  it('says what the bucket does when nothing is asked for', async () => {
    await using store = await open({ requireEncryption: true });
    assert.deepEqual((await store.put('a', streamOf('x'))).serverEncryption, { method: 'gcs-managed' });
    double.bucket('bucket').defaultKmsKeyName = keyName;
    assert.deepEqual((await store.put('b', streamOf('x'))).serverEncryption, { method: 'gcs-cmek', keyName });
  });

  it('says key for a Cloud KMS key that Cloud Storage may not use', async () => {
    double.kmsKeys.clear();
    await using store = await open({ gcs: kms });
    const expected = { kind: 'key', message: /may not use the Cloud KMS key/, hint: /CryptoKey Encrypter/ };
    await assert.rejects(store.put('a', streamOf('x')), expected);
    await assert.rejects(store.put('a', streamOf(bodies['a body of several parts'])), expected);
  });

  it('says key for an object that has no customer-supplied key', async () => {
    await using plain = await open();
    await plain.put('a', streamOf('x'));
    await using store = await open({ gcs: customerKey(1) });
    await assert.rejects(readAll(store.get('a')), { kind: 'key', message: /is not encrypted with/, hint: /Leave/ });
  });

  it('sees that a create-only key exists although it has another customer-supplied key', async () => {
    await using first = await open({ gcs: customerKey(1) });
    await first.put('a', streamOf('x'), { createOnly: true });
    await using second = await open({ gcs: customerKey(2) });
    await assert.rejects(second.put('a', streamOf('x'), { createOnly: true }), { kind: 'conflict' });
  });

  it('says that an object which differs could not be removed again', async () => {
    double.misbehaviour.ignoreKmsKey = true;
    double.bucket('bucket').denied.add('delete');
    await using store = await open({ gcs: kms });
    await assert.rejects(store.put('a', streamOf('x')), {
      kind: 'policy',
      message: /gcs-managed instead of .*could not be removed again/,
      hint: /p\/a/,
    });
  });

  it('does not send a customer-supplied key to another machine in the clear', async () => {
    const gcs = { endpoint: 'http://storage.example', ...customerKey(1) };
    await assert.rejects(open({ gcs }), { kind: 'config', message: /in the clear/, hint: /https/ });
  });

  it('refuses keys that cannot be', async () => {
    for (const name of ['k', `${keyName}/cryptoKeyVersions/1`, `/${keyName}`]) {
      await assert.rejects(open({ gcs: { encryption: { method: 'gcs-cmek', keyName: name } } }), { kind: 'config' });
    }
    const key = Secret.fromText('too short');
    await assert.rejects(open({ gcs: { encryption: { method: 'gcs-csek', key } } }), (error: Error) => {
      assert.equal((error as { kind?: string }).kind, 'key');
      assert.doesNotMatch(error.message, /too short/);
      return true;
    });
  });
});

describe('locks of Google Cloud Storage', () => {
  const locks: Readonly<Record<string, LockRequest>> = {
    'an unlocked retention': { retention: { mode: 'governance', durationMs: hour }, legalHold: false },
    'a locked retention': { retention: { mode: 'compliance', durationMs: hour }, legalHold: false },
    'a hold': { legalHold: true },
  };
  const ignored: Misbehaviour = { ignoreRetention: true, ignoreHold: true };

  for (const [what, lock] of Object.entries(locks)) {
    for (const [size, body] of Object.entries(bodies)) {
      it(`puts ${what} on ${size}, and cannot delete or replace it`, async () => {
        await using store = await open({ lock });
        const before = Date.now();
        const put = await store.put('a', streamOf(body));
        assert.equal(put.lock?.legalHold, lock.legalHold);
        assert.equal(put.lock?.retention?.mode, lock.retention?.mode);
        if (put.lock?.retention !== undefined) assert.ok(Date.parse(put.lock.retention.until) >= before + hour - 1000);
        assert.deepEqual((await store.head('a'))?.lock, put.lock);
        const message = lock.legalHold
          ? /cannot delete "a" in .*under legal hold/
          : new RegExp(
              `cannot delete "a" in .*locked \\(${lock.retention?.mode}\\) until ${put.lock?.retention?.until}`,
            );
        await assert.rejects(store.delete(['a']), { kind: 'policy', message });
        await assert.rejects(store.put('a', streamOf('other')), { kind: 'policy', message: /until|hold/ });
        assert.equal(sha256(await readAll(store.get('a'))), sha256(body));
      });
    }

    it(`keeps nothing when the server does not apply ${what}`, async () => {
      Object.assign(double.misbehaviour, ignored);
      await using store = await open({ lock });
      await assert.rejects(store.put('a', streamOf('x')), { kind: 'policy', message: /hold|lock/ });
      assert.equal(await store.head('a'), null);
    });
  }

  it('lifts what it has set on an object that it must remove again, as far as it can be lifted', async () => {
    double.misbehaviour.ignoreKmsKey = true;
    const governance = { retention: { mode: 'governance', durationMs: hour }, legalHold: true } as const;
    await using store = await open({ gcs: kms, lock: governance });
    await assert.rejects(store.put('a', streamOf('x')), { kind: 'policy', message: /gcs-managed instead of [^,]*$/ });
    assert.equal(await store.head('a'), null);
    const compliance = { retention: { mode: 'compliance', durationMs: hour }, legalHold: false } as const;
    await using strict = await open({ gcs: kms, lock: compliance });
    await assert.rejects(strict.put('b', streamOf('x')), { kind: 'policy', message: /could not be removed again/ });
  });

  it('says config when the bucket takes no retention', async () => {
    double.bucket('bucket').hasObjectRetention = false;
    await using store = await open({ lock: { retention: { mode: 'governance', durationMs: hour }, legalHold: false } });
    const expected = { kind: 'config', message: /does not take retention/, hint: /per-object-retention/ };
    await assert.rejects(store.put('a', streamOf('x')), expected);
    await assert.rejects(store.put('a', streamOf(bodies['a body of several parts'])), expected);
  });

  it('shows the retention of the bucket and event-based holds, and says until when they last', async () => {
    await using store = await open();
    assert.equal((await store.put('free', streamOf('x'))).lock, undefined);
    double.bucket('bucket').retentionMs = hour;
    const put = await store.put('a', streamOf('x'));
    assert.equal(put.lock?.retention?.mode, 'governance');
    await assert.rejects(store.delete(['free', 'a']), { kind: 'policy', message: /"a" .* until 20\d\d-/ });
    assert.equal(await store.head('free'), null);
    const object = double.object('bucket', 'p/a');
    if (object !== undefined) object.resource.eventBasedHold = true;
    assert.equal((await store.head('a'))?.lock?.legalHold, true);
    await assert.rejects(store.delete(['a']), { kind: 'policy', message: /under legal hold/ });
  });

  it('says what the server says when it may not look at the lock', async () => {
    await using store = await open({ lock: locks['a locked retention'] ?? { legalHold: true } });
    await store.put('a', streamOf('x'));
    double.bucket('bucket').denied.add('get');
    await assert.rejects(store.delete(['a']), { kind: 'policy', message: /it is locked until 20\d\d-/, hint: /Wait/ });
  });
});

describe('class and tags in Google Cloud Storage', () => {
  it('gives objects their class and manifests none, and all of them the tags', async () => {
    await using store = await open({ gcs: { storageClass: 'NEARLINE' }, tags: { owner: 'ops team', ünï: 'çødé' } });
    const manifests = ['db/1/manifest.json', 'db/1/manifest.2.json'];
    for (const key of ['db/1/data.dump', ...manifests, 'manifest.json/a']) await store.put(key, streamOf('x'));
    const resource = (key: string): Record<string, unknown> => double.object('bucket', `p/${key}`)?.resource ?? {};
    assert.equal(resource('db/1/data.dump')['storageClass'], 'NEARLINE');
    for (const key of manifests) assert.equal(resource(key)['storageClass'], undefined);
    assert.equal(resource('manifest.json/a')['storageClass'], 'NEARLINE');
    const { owner, ünï } = resource('db/1/manifest.json')['metadata'] as Record<string, string>;
    assert.deepEqual({ owner, ünï }, { owner: 'ops team', ünï: 'çødé' });
    assert.equal(resource('db/1/data.dump')['contentEncoding'], undefined);
  });

  for (const [what, body] of Object.entries(bodies)) {
    it(`keeps nothing of ${what} when the server does not apply the class`, async () => {
      double.misbehaviour.ignoreStorageClass = true;
      await using store = await open({ gcs: { storageClass: 'NEARLINE' } });
      await assert.rejects(store.put('a', streamOf(body)), {
        kind: 'policy',
        message: /the server stored it as STANDARD instead of NEARLINE$/,
      });
      assert.equal(await store.head('a'), null);
      await store.put('a/manifest.json', streamOf('{}'));
    });

    it(`keeps nothing of ${what} when the server does not apply the tags`, async () => {
      double.misbehaviour.ignoreMetadata = true;
      await using store = await open({ tags: { owner: 'ops team' } });
      await assert.rejects(store.put('a', streamOf(body)), {
        kind: 'policy',
        message: /the server did not keep the tag "owner" as asked$/,
      });
      assert.equal(await store.head('a'), null);
    });
  }

  it('takes the old names of the standard class for it', async () => {
    double.misbehaviour.ignoreStorageClass = true;
    for (const storageClass of ['standard', 'REGIONAL', 'MULTI_REGIONAL']) {
      await using store = await open({ gcs: { storageClass } });
      await store.put('a', streamOf('x'));
    }
  });

  it('says what a class means that the server does not know', async () => {
    double.refuse(/^POST /, new Refusal(400, 'invalid', 'Invalid argument: storage class "X"'));
    await using store = await open({ gcs: { storageClass: 'X' } });
    await assert.rejects(store.put('a', streamOf('x')), { kind: 'storage', message: /storage class "X"/ });
  });

  it('refuses tags that cannot be', async () => {
    await assert.rejects(open({ tags: { '': 'x' } }), { kind: 'config' });
    await assert.rejects(open({ tags: { 'librelog-put-id': 'x' } }), { kind: 'config' });
    await assert.rejects(open({ tags: { a: 'x'.repeat(9000) } }), { kind: 'config', message: /9001 bytes/ });
  });

  it('refuses less memory than a part takes', async () => {
    await assert.rejects(open({ uploadMemoryBytes: 8 * mebibyte - 1 }), { kind: 'config' });
    await using store = await open({ uploadMemoryBytes: 8 * mebibyte });
    await store.put('a', streamOf(bodies['a body of several parts']));
    assert.equal((await store.head('a'))?.sizeBytes, 17 * mebibyte);
  });
});
