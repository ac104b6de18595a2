import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { rewrapBackups, type RewrapRequest } from '../../src/backup/rewrap-backups.ts';
import { verifyKeys } from '../../src/backup/verify-keys.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import { generateKeyFile } from '../../src/keys/generate-key-file.ts';
import { destroyKeyInFile, rotateKeyringFile } from '../../src/keys/keyring-file.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { ObjectStore, PutOptions, StoredObject } from '../../src/storage/object-store.ts';
import { CountingStore } from '../support/counting-store.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { quietContext } from '../support/quiet-context.ts';
import { idOf, makeSmallBackup } from '../support/small-backups.ts';
import { listAll } from '../support/test-bytes.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-rewrap-'));
after(async () => await rm(folder, { recursive: true }));

const env = {
  OLD: randomBytes(32).toString('hex'),
  NEW: randomBytes(32).toString('hex'),
  SPARE: randomBytes(32).toString('hex'),
  PASS: 'correct horse battery staple',
};
const context = quietContext(env);
const oldToNew = { unlock: { keys: ['env:OLD'] }, wrap: { keys: ['env:NEW'] } };

async function makeBackup(store: ObjectStore, number: number, keys = ['env:OLD']): Promise<Manifest> {
  return await makeSmallBackup({ store, id: idOf(number), encryption: { method: 'aes-256', keys } }, context);
}

async function write(store: ObjectStore, changes: Partial<RewrapRequest> = {}) {
  return await rewrapBackups({ store, ...oldToNew, isDryRun: false, ...changes }, context);
}

async function outcomes(store: ObjectStore, changes: Partial<RewrapRequest> = {}): Promise<string[]> {
  return (await write(store, changes)).map(({ outcome }) => outcome);
}

async function opens(store: ObjectStore, keys: readonly string[], passphrase?: string): Promise<string[]> {
  const verified = await verifyKeys({ store, keys: { keys, passphrase } }, context);
  return verified.map((backup) => (backup.outcome === 'failed' ? backup.problem.kind : 'opened'));
}

async function keysIn(store: ObjectStore): Promise<string[]> {
  return (await listAll(store.list(''))).map(({ key }) => key).toSorted();
}

async function newest(store: ObjectStore): Promise<Manifest> {
  return await new Catalog(store).find({ by: 'latest' });
}

function wrappedKeysOf({ encryption }: Manifest): WrappedKey[] {
  return encryption.method === 'openpgp' ? [] : encryption.wrappedKeys;
}

describe('rewrapBackups', () => {
  for (const [name, open] of Object.entries({
    memory: async () => await Promise.resolve(new MemoryStore()),
    'a folder': async () => await openStore(`file://${await mkdtemp(join(folder, 'store-'))}`, {}),
  })) {
    it(`lets the new key open every backup in ${name}, and the old one none, without touching an object`, async () => {
      await using store: ObjectStore = await open();
      const made = [await makeBackup(store, 1), await makeBackup(store, 2)];
      const before = await contentsOf(store);
      assert.deepEqual(await outcomes(store), ['rewrapped', 'rewrapped']);
      const after = await contentsOf(store);
      for (const [key, bytes] of before) assert.deepEqual(after.get(key), bytes, key);
      assert.equal(after.size, before.size + 2);
      assert.deepEqual(await opens(store, ['env:NEW']), ['opened', 'opened']);
      assert.deepEqual(await opens(store, ['env:OLD']), ['key', 'key']);
      const entries = await new Catalog(store).list();
      for (const [index, { manifest }] of entries.entries()) {
        assert.ok(manifest !== null);
        const { revision, rewrappedAt, encryption: _, seal: __, ...facts } = manifest;
        const { encryption: ___, seal: ____, ...original } = made[index] ?? assert.fail();
        assert.deepEqual(facts, original);
        assert.equal(revision, 2);
        assert.ok(rewrappedAt !== undefined);
      }
    });
  }

  it('writes nothing unless told to, and says what it would do', async () => {
    const store = new MemoryStore();
    await makeBackup(store, 1);
    const before = await keysIn(store);
    const [backup] = await rewrapBackups({ store, ...oldToNew }, context);
    assert.ok(backup?.outcome === 'wouldRewrap');
    assert.equal(backup.revision, 2);
    assert.deepEqual(
      [...backup.before, ...backup.after].map(({ provider }) => provider),
      ['key', 'key'],
    );
    assert.notEqual(backup.before[0]?.keyId, backup.after[0]?.keyId);
    assert.deepEqual(await keysIn(store), before);
  });

  it('finds nothing to do the second time, even without the old key', async () => {
    const store = new MemoryStore();
    await makeBackup(store, 1);
    await write(store);
    const before = await keysIn(store);
    assert.deepEqual(await outcomes(store), ['unchanged']);
    assert.deepEqual(await outcomes(store, { unlock: {} }), ['unchanged']);
    assert.deepEqual(await keysIn(store), before);
  });

  it('counts revisions on', async () => {
    const store = new MemoryStore();
    await makeBackup(store, 1);
    await write(store);
    await write(store, { unlock: { keys: ['env:NEW'] }, wrap: { keys: ['env:SPARE'] } });
    assert.equal((await newest(store)).revision, 3);
    assert.deepEqual(await opens(store, ['env:SPARE']), ['opened']);
    const manifests = (await keysIn(store)).filter((key) => key.includes('manifest'));
    assert.deepEqual(
      manifests.map((key) => key.split('/').at(-1)),
      ['manifest.2.json', 'manifest.3.json', 'manifest.json'],
    );
  });

  it('adds a key beside the others, each once, up to 16', async () => {
    const store = new MemoryStore();
    await makeBackup(store, 1);
    assert.deepEqual(await outcomes(store, { keepsOthers: true }), ['rewrapped']);
    assert.equal(wrappedKeysOf(await newest(store)).length, 2);
    for (const key of ['env:OLD', 'env:NEW']) assert.deepEqual(await opens(store, [key]), ['opened']);
    const both = { wrap: { keys: ['env:NEW', 'env:OLD', 'env:NEW'] } };
    assert.deepEqual(await outcomes(store, { ...both, keepsOthers: true }), ['unchanged']);
    assert.deepEqual(await outcomes(store, both), ['unchanged']);
    const many = Object.fromEntries(Array.from({ length: 15 }, (_, at) => [`K${at}`, randomBytes(32).toString('hex')]));
    const wrap = { keys: Object.keys(many).map((name) => `env:${name}`) };
    const request = { store, unlock: oldToNew.unlock, wrap, keepsOthers: true, isDryRun: false };
    const [full] = await rewrapBackups(request, quietContext({ ...env, ...many }));
    assert.ok(full?.outcome === 'failed');
    assert.equal(full.problem.kind, 'config');
    assert.match(full.problem.message, /17 wrapped keys; 16 is the most/);
    assert.equal((await newest(store)).revision, 2);
  });

  it('takes passphrases on both sides, and knows one that is there already', async () => {
    const store = new MemoryStore();
    await makeBackup(store, 1);
    const toPassphrase = { wrap: { passphrase: 'env:PASS' } };
    assert.deepEqual(await outcomes(store, toPassphrase), ['rewrapped']);
    assert.deepEqual(await outcomes(store, { ...toPassphrase, unlock: {} }), ['unchanged']);
    assert.deepEqual(await opens(store, [], 'env:PASS'), ['opened']);
    assert.deepEqual(await opens(store, ['env:OLD']), ['key']);
    assert.deepEqual(await outcomes(store, { unlock: { passphrase: 'env:PASS' } }), ['rewrapped']);
    assert.deepEqual(await opens(store, ['env:NEW']), ['opened']);
  });

  it('moves backups along with a keyring, whose old key may then be destroyed', async () => {
    const store = new MemoryStore();
    const now = new Date();
    const { path, keyId } = await generateKeyFile(join(folder, 'ring'), { now });
    const ring = [`file:${path}`];
    await makeBackup(store, 1, ring);
    const { keyId: activeId } = await rotateKeyringFile(path, { now });
    assert.deepEqual(await outcomes(store, { unlock: {}, wrap: { keys: ring } }), ['rewrapped']);
    await destroyKeyInFile(path, keyId, { now });
    assert.deepEqual(await opens(store, ring), ['opened']);
    assert.partialDeepStrictEqual(wrappedKeysOf(await newest(store)), [{ keyId: activeId, keyVersion: activeId }]);
  });

  it('does only the ids and the label that are asked for', async () => {
    const store = new MemoryStore();
    await makeBackup(store, 1);
    await makeBackup(store, 2);
    await makeSmallBackup(
      { store, id: idOf(3), label: 'blog', encryption: { method: 'aes-256', keys: ['env:OLD'] } },
      context,
    );
    const [one] = await write(store, { ids: [idOf(2)] });
    assert.equal(one?.id, idOf(2));
    assert.deepEqual(await outcomes(store, { label: 'blog' }), ['rewrapped']);
    await assert.rejects(write(store, { ids: [idOf(1), idOf(9)] }), { kind: 'notFound', message: new RegExp(idOf(9)) });
    assert.deepEqual(await opens(store, ['env:NEW']), ['key', 'opened', 'opened']);
  });

  it('wants a key to wrap with', async () => {
    await assert.rejects(write(new MemoryStore(), { wrap: {} }), { kind: 'usage', hint: /--to-key/ });
  });

  it('leaves OpenPGP backups as they are, and says why', async () => {
    const store = new MemoryStore();
    const encryption = { method: 'openpgp', recipients: [], passphrase: 'env:PASS' } as const;
    await makeSmallBackup({ store, id: idOf(1), encryption }, context);
    const [backup] = await write(store);
    assert.ok(backup?.outcome === 'skipped');
    assert.match(backup.reason, /OpenPGP/);
  });

  it('reports what fails and does the others', async () => {
    const store = new MemoryStore();
    await makeBackup(store, 1);
    await makeBackup(store, 2, ['env:SPARE']);
    await store.put(`shop/${idOf(3)}/manifest.json`, streamOf('{"format":'));
    const altered = await makeBackup(store, 4);
    const [wrapped = assert.fail()] = wrappedKeysOf(altered);
    const bytes = Buffer.from(wrapped.wrapped, 'base64');
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    await put(store, { ...altered, encryption: withWrapped([{ ...wrapped, wrapped: bytes.toString('base64') }]) });
    const edited = await makeBackup(store, 5);
    await put(store, { ...edited, finishedAt: '2020-01-01T00:00:00.000Z' });
    const other = await makeBackup(store, 6);
    await put(store, { ...(await makeBackup(store, 7)), encryption: other.encryption });
    const done = await write(store);
    assert.deepEqual(
      done.map((backup) => (backup.outcome === 'failed' ? backup.problem.kind : backup.outcome)),
      ['rewrapped', 'key', 'integrity', 'integrity', 'integrity', 'rewrapped', 'integrity'],
    );
    assert.equal((await keysIn(store)).filter((key) => key.endsWith('manifest.2.json')).length, 2);
  });

  it('never falls back from a damaged revision to an older one', async () => {
    const store = new MemoryStore();
    await makeBackup(store, 1);
    await store.put(`shop/${idOf(1)}/manifest.2.json`, streamOf('{'));
    const [backup] = await write(store);
    assert.ok(backup?.outcome === 'failed');
    assert.match(backup.problem.message, /manifest\.2\.json/);
    assert.deepEqual(await opens(store, ['env:OLD']), ['integrity']);
  });

  it('finds nothing left to do when another rewrap was faster', async () => {
    const store = new RacedStore(async () => await write(store));
    await makeBackup(store, 1);
    store.isArmed = true;
    assert.deepEqual(await outcomes(store), ['unchanged']);
    assert.equal((await newest(store)).revision, 2);
  });

  it('goes on from where another rewrap to another key has got', async () => {
    const spare = { keepsOthers: true, wrap: { keys: ['env:SPARE'] } };
    const store = new RacedStore(async () => await write(store, spare));
    await makeBackup(store, 1);
    store.isArmed = true;
    assert.deepEqual(await outcomes(store, { keepsOthers: true }), ['rewrapped']);
    const manifest = await newest(store);
    assert.equal(manifest.revision, 3);
    assert.equal(wrappedKeysOf(manifest).length, 3);
  });

  it('says nothing of a backup that is deleted meanwhile', async () => {
    const store = new RacedStore(async () => await new Catalog(store).delete({ label: 'shop', id: idOf(1) }), 'get');
    await makeBackup(store, 1);
    store.isArmed = true;
    assert.deepEqual(await outcomes(store), []);
  });

  it('stops at a failure of the store, with nothing under way any more', async () => {
    const store = new FailingStore();
    for (let number = 0; number < 30; number += 1) await makeBackup(store, number);
    store.isArmed = true;
    await assert.rejects(write(store), { kind: 'storage', message: 'disk full' });
    const puts = store.puts.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(store.puts.length, puts);
    assert.ok(puts <= 2 * 30 + 5 + 8);
    store.isArmed = false;
    const again = await outcomes(store);
    assert.ok(again.includes('unchanged') && again.includes('rewrapped'));
    assert.deepEqual(await opens(store, ['env:NEW']), Array(30).fill('opened'));
  });

  it('has at most 8 backups in flight, and asks once for each key', async () => {
    const store = new CountingStore();
    for (const name of ['old', 'new']) await writeFile(join(folder, name), env[name === 'old' ? 'OLD' : 'NEW']);
    for (let number = 0; number < 40; number += 1) await makeBackup(store, number);
    const fetching = (name: string) => `exec:sh -c "echo ${name} >> ${folder}/fetched; cat ${folder}/${name}"`;
    const request = { store, unlock: { keys: [fetching('old')] }, wrap: { keys: [fetching('new')] }, isDryRun: false };
    const done = await rewrapBackups(request, quietContext({ ...env, PATH: process.env['PATH'] }));
    assert.equal(done.filter(({ outcome }) => outcome === 'rewrapped').length, 40);
    assert.equal(store.mostInFlight, 8);
    assert.deepEqual((await readFile(join(folder, 'fetched'), 'utf8')).split('\n').toSorted(), ['', 'new', 'old']);
  });
});

async function contentsOf(store: ObjectStore): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  for (const key of await keysIn(store)) contents.set(key, await collect(store.get(key), Number.POSITIVE_INFINITY));
  return contents;
}

function withWrapped(wrappedKeys: WrappedKey[]): Manifest['encryption'] {
  return { method: 'aes-256-gcm-hkdf-1mb', wrappedKeys };
}

async function put(store: ObjectStore, manifest: Manifest): Promise<void> {
  await store.put(`${manifest.label}/${manifest.id}/manifest.json`, streamOf(JSON.stringify(manifest)));
}

/** Lets somebody else act once, just before a revision is put, or an object is read. */
class RacedStore extends MemoryStore {
  isArmed = false;
  readonly #act: () => Promise<unknown>;
  readonly #before: 'put' | 'get';

  constructor(act: () => Promise<unknown>, before: 'put' | 'get' = 'put') {
    super();
    this.#act = act;
    this.#before = before;
  }

  override async put(...[key, body, options]: Parameters<MemoryStore['put']>): Promise<StoredObject> {
    if (this.#before === 'put') await this.#actOnce();
    return await super.put(key, body, options);
  }

  override async *get(...args: Parameters<MemoryStore['get']>): AsyncGenerator<Uint8Array> {
    if (this.#before === 'get') await this.#actOnce();
    yield* super.get(...args);
  }

  async #actOnce(): Promise<void> {
    if (!this.isArmed) return;
    this.isArmed = false;
    await this.#act();
  }
}

/** Has room for five revisions. */
class FailingStore extends CountingStore {
  isArmed = false;

  override async put(...[key, body, options]: [string, AsyncIterable<Uint8Array>, PutOptions?]): Promise<StoredObject> {
    const stored = this.puts.filter((name) => name.endsWith('manifest.2.json')).length;
    const result = await super.put(key, body, options);
    if (!this.isArmed || stored < 5) return result;
    throw new BackupError('storage', 'disk full');
  }
}
