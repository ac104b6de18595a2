import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { ContainerSASPermissions, generateBlobSASQueryParameters } from '@azure/storage-blob';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import {
  azuriteServer,
  container,
  directClient,
  makeContainer,
  openTestStore,
  prefixOf,
  sharedKey,
  withKey,
  withServer,
} from '../support/azurite-server.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const large = randomLookingBytes(9 * 1024 * 1024);

function sasToken(rights: string, expiresOn = new Date(Date.now() + 600_000)): string {
  const permissions = ContainerSASPermissions.parse(rights);
  return generateBlobSASQueryParameters({ containerName: container, permissions, expiresOn }, sharedKey()).toString();
}

async function openWith(env: Record<string, string>, address?: string): Promise<ObjectStore> {
  const { account } = azuriteServer();
  return await openStore(address ?? `az://${account}/${container}/${randomUUID()}`, withServer({}), { env });
}

const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  put: async (store) => await store.put('x', streamOf('x')),
  'large put': async (store) => await store.put('x', streamOf(large)),
  get: async (store) => await readAll(store.get('x')),
  head: async (store) => await store.head('x'),
  list: async (store) => await listAll(store.list('')),
  delete: async (store) => await store.delete(['x']),
};

describe('access to Azure', () => {
  before(makeContainer);

  it('works with a connection string', async () => {
    const { account, key, endpoint } = azuriteServer();
    const text = `DefaultEndpointsProtocol=http;AccountName=${account};AccountKey=${key};BlobEndpoint=${endpoint};`;
    const address = `az://${account}/${container}/${randomUUID()}`;
    await using store = await openStore(address, {}, { env: { AZURE_STORAGE_CONNECTION_STRING: text } });
    await store.put('x', streamOf('x'));
    assert.equal((await readAll(store.get('x'))).toString(), 'x');
  });

  it('works with a shared access signature that has the rights of docs/stores.md', async () => {
    await using store = await openWith({ AZURE_STORAGE_SAS_TOKEN: `?${sasToken('rcwdl')}` });
    for (const call of Object.values(calls)) await call(store);
    assert.deepEqual(await listAll(store.list('')), []);
  });

  it('stores with a signature that may only write, and sees no more', async () => {
    await using store = await openWith({ AZURE_STORAGE_SAS_TOKEN: sasToken('cw') });
    assert.equal((await store.put('x', streamOf('x'), { createOnly: true })).sizeBytes, 1);
    await assert.rejects(store.put('x', streamOf('y'), { createOnly: true }), { kind: 'conflict' });
    assert.equal((await store.put('y', streamOf(large))).sizeBytes, large.byteLength);
  });

  const lacking: Readonly<Record<string, string>> = {
    put: 'rdl',
    get: 'cwdl',
    head: 'cwdl',
    list: 'rcwd',
    delete: 'rcwl',
  };
  for (const [name, rights] of Object.entries(lacking)) {
    it(`says access when the rights for ${name} are missing`, async () => {
      await using store = await openWith({ AZURE_STORAGE_SAS_TOKEN: sasToken(rights) });
      await using owner = await openStore(store.url, withServer({}), withKey());
      await owner.put('x', streamOf('x'));
      await assert.rejects(calls[name]?.(store) ?? Promise.resolve(), {
        kind: 'access',
        message: /permission denied/,
        hint: /rights/,
      });
    });
  }

  const refused: Readonly<Record<string, () => readonly [Record<string, string>, RegExp]>> = {
    'an expired signature': () => [
      { AZURE_STORAGE_SAS_TOKEN: sasToken('rcwdl', new Date(Date.now() - 60_000)) },
      /has expired/,
    ],
    'a signature of another key': () => [
      { AZURE_STORAGE_SAS_TOKEN: sasToken('rcwdl').replace(/sig=[^&]+/, `sig=${'A'.repeat(43)}%3D`) },
      // The service itself says AuthenticationFailed, Azurite AuthorizationFailure.
      /permission denied/,
    ],
    'a wrong account key': () => [
      { AZURE_STORAGE_KEY: Buffer.alloc(64, 'wrong').toString('base64') },
      /permission denied/,
    ],
  };
  for (const [what, make] of Object.entries(refused)) {
    it(`says access for ${what}, and shows no secret`, async () => {
      const [env, message] = make();
      const [secret = ''] = Object.values(env).map((value) => /(?:sig=)?([^=&]+)=*$/.exec(value)?.[1] ?? '');
      await using store = await openWith(env);
      for (const [name, call] of Object.entries(calls)) {
        await assert.rejects(call(store), (error: Error & { kind?: string; hint?: string }) => {
          assert.equal(error.kind, 'access', name);
          assert.match(error.message, message, name);
          assert.ok(error.hint);
          assert.ok(!inspect(error, { depth: 9 }).includes(secret), name);
          return true;
        });
      }
      assert.ok(!store.url.includes(secret));
    });
  }

  it('says notFound for a container that does not exist', async () => {
    const { account, key } = azuriteServer();
    await using store = await openWith({ AZURE_STORAGE_KEY: key }, `az://${account}/no-such-container/prefix`);
    for (const call of Object.values(calls)) {
      await assert.rejects(call(store), {
        kind: 'notFound',
        message: /the container does not exist/,
        hint: /container/,
      });
    }
  });

  it('keeps what lies beside its prefix', async () => {
    const { account, key } = azuriteServer();
    await using inner = await openTestStore();
    await using outer = await openWith({ AZURE_STORAGE_KEY: key }, `az://${account}/${container}`);
    await outer.put(`${prefixOf(inner)}-beside/a`, streamOf('foreign'));
    await inner.put('a', streamOf('own'));
    assert.deepEqual(
      (await listAll(inner.list(''))).map(({ key: name }) => name),
      ['a'],
    );
    assert.deepEqual(
      (await listAll(outer.list(`${prefixOf(inner)}/`))).map(({ key: name }) => name),
      [`${prefixOf(inner)}/a`],
    );
  });

  for (const prefix of ['with blank', 'plus+and%20percent', 'ünï/日本', 'a.b/-c_d~']) {
    it(`keeps objects under the prefix ${JSON.stringify(prefix)}`, async () => {
      const { account, key } = azuriteServer();
      const address = `az://${account}/${container}/${randomUUID()}/${prefix}`;
      await using store = await openWith({ AZURE_STORAGE_KEY: key }, address);
      await store.put('x', streamOf('x'));
      assert.deepEqual(
        (await listAll(store.list(''))).map(({ key: name }) => name),
        ['x'],
      );
      assert.equal((await readAll(store.get('x'))).toString(), 'x');
      await store.delete(['x']);
      assert.deepEqual(await listAll(store.list('')), []);
    });
  }

  it('keeps objects in the tier asked for, and manifests in the default one', async () => {
    await using store = await openTestStore({ azure: { tier: 'Cool' }, tags: { kind: 'backup' } });
    const blobs = directClient().getContainerClient(container);
    for (const [key, tier] of [
      ['a/data', 'Cool'],
      ['a/manifest.json', 'Hot'],
      ['a/manifest.2.json', 'Hot'],
    ] as const) {
      await store.put(key, streamOf('x'));
      const blob = blobs.getBlobClient(`${prefixOf(store)}/${key}`);
      assert.equal((await blob.getProperties()).accessTier, tier);
      assert.deepEqual((await blob.getTags()).tags, { kind: 'backup' });
    }
  });

  it('says that an object in the archive tier must be rehydrated', async () => {
    await using store = await openTestStore({ azure: { tier: 'Archive' } });
    await store.put('x', streamOf(large));
    await assert.rejects(readAll(store.get('x')), { kind: 'storage', message: /archive tier/, hint: /Rehydrate/ });
    await store.delete(['x']);
  });

  it('says that a lease or a snapshot of somebody forbids the deletion', async () => {
    await using store = await openTestStore();
    await store.put('x', streamOf('x'));
    const blob = directClient()
      .getContainerClient(container)
      .getBlobClient(`${prefixOf(store)}/x`);
    const lease = blob.getBlobLeaseClient();
    await lease.acquireLease(15);
    await assert.rejects(store.delete(['x']), { kind: 'storage', message: /holds a lease/ });
    await assert.rejects(store.put('x', streamOf('y')), { kind: 'storage', message: /holds a lease/ });
    await lease.releaseLease();
    await blob.createSnapshot();
    await assert.rejects(store.delete(['x']), { kind: 'storage', message: /it has snapshots/ });
  });

  it('proves that Azurite ignores an encryption scope: the put fails and nothing is left', async () => {
    await using store = await openTestStore({ azure: { encryption: { method: 'azure-scope', scope: 'backups' } } });
    await assert.rejects(store.put('x', streamOf('x')), { kind: 'policy', message: /encryption scope "backups"/ });
    assert.deepEqual(await listAll(store.list('')), []);
  });
});
