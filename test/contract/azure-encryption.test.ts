import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { BackupError } from '../../src/core/backup-error.ts';
import { streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import type { AzureSettings, StoreSettings } from '../../src/storage/store-settings.ts';
import { AzureDouble } from '../support/azure-double.ts';
import { AzureFailure, headerOf } from '../support/azure-double-request.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const large = randomLookingBytes(9 * 1024 * 1024);

function keyOf(fill: number): NonNullable<AzureSettings['encryption']> {
  return { method: 'azure-cpk', key: new Secret(Buffer.alloc(32, fill)) };
}

function digestOf(fill: number): string {
  return createHash('sha256').update(Buffer.alloc(32, fill)).digest('base64');
}

const scope: StoreSettings = { azure: { encryption: { method: 'azure-scope', scope: 'backups' } } };
const customerKey: StoreSettings = { azure: { encryption: keyOf(1) } };

describe('server-side encryption of Azure', () => {
  let double: AzureDouble;
  before(async () => {
    double = await AzureDouble.start();
  });
  after(async () => await double[Symbol.asyncDispose]());
  afterEach(() => double.reset());

  const applied: Readonly<Record<string, [StoreSettings, object]>> = {
    "the account's key": [{ requireEncryption: true }, { method: 'azure-managed' }],
    'an encryption scope': [scope, { method: 'azure-scope', scope: 'backups' }],
    'a customer-provided key': [customerKey, { method: 'azure-cpk', keyDigest: digestOf(1) }],
  };
  for (const [what, [settings, expected]] of Object.entries(applied)) {
    it(`says that objects are kept under ${what}`, async () => {
      await using store = await double.open('a', settings);
      for (const bytes of [Buffer.from('small'), large]) {
        assert.deepEqual((await store.put('x', streamOf(bytes))).serverEncryption, expected);
        assert.deepEqual((await store.head('x'))?.serverEncryption, expected);
      }
    });
  }

  it('asks for the scope with the blob, every block and the block list', async () => {
    await using store = await double.open('a', scope);
    await store.put('x', streamOf('small'));
    await store.put('x', streamOf(large));
    const writes = double.requests.filter(({ method }) => method === 'PUT');
    assert.equal(writes.length, 4);
    for (const write of writes) assert.equal(headerOf(write, 'x-ms-encryption-scope'), 'backups');
  });

  it('lets the server check the MD5 of every blob and block', async () => {
    await using store = await double.open('a');
    await store.put('x', streamOf('small'));
    await store.put('x', streamOf(large));
    const bodies = double.requests.filter(({ method, url }) => method === 'PUT' && !url.search.includes('blocklist'));
    assert.equal(bodies.length, 3);
    for (const body of bodies) {
      assert.equal(headerOf(body, 'content-md5'), createHash('md5').update(body.body).digest('base64'));
    }
  });

  const ignored: readonly [string, StoreSettings, 'scope' | 'key' | 'encryption', RegExp][] = [
    ['the scope', scope, 'scope', /encryption scope "backups" was asked for.*says encryption with the account's key/],
    ["the customer's key", customerKey, 'key', /customer-provided key .* was asked for/],
    ['encryption as such', { requireEncryption: true }, 'encryption', /encryption was required/],
  ];
  for (const [what, settings, behaviour, message] of ignored) {
    for (const [size, bytes] of Object.entries({ small: Buffer.from('x'), large })) {
      it(`removes a ${size} object again when the server ignores ${what}, and fails with policy`, async () => {
        double.behaviour.ignores.add(behaviour);
        await using store = await double.open('a', settings);
        const expected = { kind: 'policy', message, hint: /settings of the storage account/ };
        await assert.rejects(store.put('x', streamOf(bytes)), expected);
        assert.equal(double.blobs.blobs.size, 0);
      });

      it(`leaves no version of a ${size} object either when the server ignores ${what}`, async () => {
        double.behaviour.keepsVersions = true;
        double.behaviour.ignores.add(behaviour);
        await using store = await double.open('a', settings);
        await assert.rejects(store.put('x', streamOf(bytes)), (error) => {
          assert.ok(error instanceof BackupError);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /stays/);
          return true;
        });
        assert.deepEqual([double.blobs.blobs.size, double.blobs.versions.size], [0, 0]);
      });
    }
  }

  it('leaves the versions of others alone when it removes its own', async () => {
    double.behaviour.keepsVersions = true;
    await using plain = await double.open('a');
    const { version } = await plain.put('x', streamOf('older'));
    double.behaviour.ignores.add('scope');
    await using store = await double.open('a', scope);
    await assert.rejects(store.put('x', streamOf('x')), { kind: 'policy' });
    assert.deepEqual([...double.blobs.versions.keys()], [`a/x?${version}`]);
  });

  it('deletes nothing that has taken the place of what it stored', async () => {
    double.behaviour.ignores.add('scope');
    double.fail(/^DELETE/, new AzureFailure(412, 'ConditionNotMet'));
    await using store = await double.open('a', scope);
    await assert.rejects(store.put('x', streamOf('x')), { kind: 'policy', message: /the account's key$/ });
    const deletes = double.requests.filter(({ method }) => method === 'DELETE');
    assert.deepEqual(
      deletes.map((request) => headerOf(request, 'if-match')),
      [double.blobs.blobs.get('a/x')?.etag],
    );
  });

  it('says which version stays when a lock keeps it from being removed', async () => {
    Object.assign(double.behaviour, { takesLocks: true, keepsVersions: true });
    double.behaviour.ignores.add('scope');
    const lock = { retention: { mode: 'compliance', durationMs: 3_600_000 }, legalHold: false } as const;
    await using store = await double.open('a', { ...scope, lock });
    await assert.rejects(store.put('x', streamOf('x')), (error) => {
      assert.ok(error instanceof BackupError);
      assert.equal(error.kind, 'policy');
      const [version] = [...double.blobs.versions.values()];
      const stays = `; version "${version?.versionId}" stays there: cannot delete it: it is locked`;
      assert.ok(error.message.endsWith(stays), error.message);
      return true;
    });
    assert.equal(double.blobs.blobs.size, 0);
  });

  it('says that the object stays when it may not be deleted', async () => {
    double.behaviour.ignores.add('scope');
    double.fail(/^DELETE/, new AzureFailure(403, 'AuthorizationPermissionMismatch'));
    await using store = await double.open('a', scope);
    await assert.rejects(store.put('x', streamOf('x')), {
      kind: 'policy',
      message: /; it stays there: cannot delete it: permission denied$/,
    });
  });

  it('notices an ignored scope although the answer to the put is lost', async () => {
    double.behaviour.ignores.add('scope');
    double.loseAnswer(/^PUT \S+\/m$/);
    await using store = await double.open('a', scope);
    await assert.rejects(store.put('m', streamOf('x'), { createOnly: true }), { kind: 'policy' });
    assert.equal(double.blobs.blobs.size, 0);
  });

  const readers: Readonly<Record<string, [StoreSettings, RegExp]>> = {
    'no key': [{}, /encrypted with a customer-provided key, and none was given/],
    'another key': [{ azure: { encryption: keyOf(2) } }, /encrypted with another customer-provided key/],
  };
  for (const [what, [settings, message]] of Object.entries(readers)) {
    it(`says key when an object is read with ${what}`, async () => {
      await using writer = await double.open('a', customerKey);
      await writer.put('x', streamOf('sealed'));
      await using reader = await double.open('a', settings);
      const expected = { kind: 'key', message, hint: /Give the key that the object was stored with/ };
      await assert.rejects(readAll(reader.get('x')), expected);
      await assert.rejects(reader.head('x'), expected);
      await assert.rejects(reader.put('x', streamOf('mine'), { createOnly: true }), { kind: 'conflict' });
      assert.equal((await listAll(reader.list(''))).length, 1);
      await reader.delete(['x']);
      assert.equal(double.blobs.blobs.size, 0);
    });
  }

  it("says conflict when another's blob under a key of its own appears while a create-only body is on its way", async () => {
    await using writer = await double.open('a', customerKey);
    await using store = await double.open('a');
    async function* late(): AsyncGenerator<Uint8Array> {
      await writer.put('x', streamOf('sealed'));
      yield Buffer.from('mine');
    }
    await assert.rejects(store.put('x', late(), { createOnly: true }), { kind: 'conflict' });
  });

  it('says key when an object is read with a key that it was not stored with', async () => {
    await using writer = await double.open('a');
    await writer.put('x', streamOf('open'));
    await using reader = await double.open('a', customerKey);
    await assert.rejects(readAll(reader.get('x')), {
      kind: 'key',
      message: /is not encrypted with a customer-provided/,
    });
  });

  it('says config when the container allows another scope only', async () => {
    double.behaviour.onlyScope = 'theirs';
    await using store = await double.open('a', scope);
    const expected = { kind: 'config', message: /allows its own encryption scope only/, hint: /scope/ };
    await assert.rejects(store.put('x', streamOf('x')), expected);
    await assert.rejects(store.put('x', streamOf(large)), expected);
  });

  it('says config when the account does not have the scope', async () => {
    double.fail(/^PUT \S+\/unknown$/, new AzureFailure(400, 'EncryptionScopeUnknown'));
    await using store = await double.open('a', scope);
    await assert.rejects(store.put('unknown', streamOf('x')), {
      kind: 'config',
      message: /does not have this encryption scope/,
    });
  });
});
