import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createBackup, type CreatedBackup } from '../../src/backup/create-backup.ts';
import { deleteBackup } from '../../src/backup/delete-backup.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import type { ObjectLock } from '../../src/core/object-lock.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import type { ObjectStore, PutOptions, StoredObject } from '../../src/storage/object-store.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';
import { quietContext } from '../support/quiet-context.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { listAll } from '../support/test-bytes.ts';

let cluster: Cluster;
before(async () => {
  cluster = await startCluster();
  await createSmallDatabase(cluster, 'small');
});
after(async () => await cluster[Symbol.asyncDispose]());

/** Takes everything but manifests. */
class StoreWithoutManifests extends MemoryStore {
  override async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    if (key.endsWith('/manifest.json')) throw new BackupError('access', `cannot store "${key}": permission denied`);
    return await super.put(key, body, options);
  }
}

/** Says that every object is locked. */
class LockingStore extends MemoryStore {
  readonly #lock: ObjectLock;

  constructor(lock: ObjectLock) {
    super();
    this.#lock = lock;
  }

  override async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    return { ...(await super.put(key, body, options)), lock: this.#lock };
  }

  override async head(key: string): Promise<StoredObject | null> {
    const found = await super.head(key);
    return found && { ...found, lock: this.#lock };
  }
}

async function create(stores: readonly ObjectStore[], allowPartial = false): Promise<CreatedBackup> {
  const created = await createBackup(
    {
      connection: resolveConnection(cluster.url('small'), {}),
      stores,
      allowPartial,
      dump: { format: 'custom', filters: {}, extraArgs: [], lockWaitTimeout: undefined },
      compression: { method: 'none' },
      encryption: { method: 'aes-256', keys: ['env:KEY'] },
      rotation: { maxAgeDays: 90, overdue: 'warn' },
      stallTimeoutMs: 60_000,
      isDryRun: false,
    },
    quietContext({ KEY: '11'.repeat(32) }),
  );
  assert.ok('copies' in created);
  return created;
}

describe('a store that takes the archive but not the manifest', () => {
  it('fails the backup everywhere, and nothing is left', async () => {
    const good = new MemoryStore();
    const bad = new StoreWithoutManifests();
    await assert.rejects(create([good, bad]), { kind: 'access' });
    for (const store of [good, bad]) assert.deepEqual(await listAll(store.list('')), []);
  });

  it('drops out where that is allowed, and its archive is removed', async () => {
    const good = new MemoryStore();
    const bad = new StoreWithoutManifests();
    const { copies, failed } = await create([bad, good], true);
    assert.equal(copies.length, 1);
    assert.deepEqual(
      failed.map(({ store, error }) => [store === bad, error.kind]),
      [[true, 'access']],
    );
    assert.equal((await new Catalog(good).list()).length, 1);
    assert.deepEqual(await listAll(bad.list('')), []);
  });
});

describe('delete', () => {
  const now = () => new Date('2026-11-24T00:00:00Z');
  const locked = {
    'under retention': { retention: { mode: 'compliance', until: '2026-12-01T00:00:00Z' }, legalHold: false },
    'under legal hold': { legalHold: true },
  } as const;
  for (const [what, lock] of Object.entries(locked)) {
    it(`leaves a backup ${what} whole`, async () => {
      const store = new LockingStore(lock);
      const { copies } = await create([store]);
      const manifest = copies[0]?.manifest;
      assert.deepEqual(manifest?.objects[0]?.lock, lock);
      const confirm = async (): Promise<void> => assert.fail('asked');
      const deleting = deleteBackup({ store, id: manifest?.id ?? '', confirm }, { ...quietContext(), now });
      await assert.rejects(deleting, { kind: 'policy', message: /cannot delete backup "small\/.*(until|hold)/ });
      assert.equal((await listAll(store.list(''))).length, 2);
    });
  }

  it('deletes a backup whose retention has ended', async () => {
    const store = new LockingStore({
      retention: { mode: 'governance', until: '2026-11-23T00:00:00Z' },
      legalHold: false,
    });
    const { copies } = await create([store]);
    const request = { store, id: copies[0]?.manifest.id ?? '', confirm: async () => {} };
    await deleteBackup(request, { ...quietContext(), now });
    assert.deepEqual(await listAll(store.list('')), []);
  });
});
