import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { findLeftovers, removeLeftovers } from '../../src/backup/find-leftovers.ts';
import { verifyBackup } from '../../src/backup/verify-backup.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';
import { quietContext } from '../support/quiet-context.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { listAll } from '../support/test-bytes.ts';

const database = 'small';
const env = { KEY: randomBytes(32).toString('hex') };
const context = quietContext(env);
const support = join(import.meta.dirname, '..', 'support');

describe('a create into a folder that is killed', () => {
  let cluster: Cluster;
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'librelog-kill-create-'));
    cluster = await startCluster({ auth: 'trust' });
    await createSmallDatabase(cluster, database);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  /** In a process of its own, which dies at this step; `false` when it comes to its end before. */
  async function createAndDie(root: string, step: number): Promise<boolean> {
    // A label for each: the lock of the last one may outlive its process.
    const parameters = [`file://${root}`, database, `step-${step}`, cluster.binFolder];
    const args = ['--import', join(support, 'die-at-step.ts'), join(support, 'creator.ts'), ...parameters];
    const child = spawn(process.execPath, args, {
      env: { ...cluster.env(database), ...env, DIE_AT: String(step) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    assert.ok(code === 0 || signal === 'SIGKILL', `step ${step}: exit code ${code}`);
    return signal === 'SIGKILL';
  }

  /** Every backup that is listed verifies; all other files are found among the leftovers, and go away. */
  async function proveSound(root: string, store: ObjectStore): Promise<number> {
    const manifests: Manifest[] = [];
    for (const { manifest, problem } of await new Catalog(store).list()) {
      if (manifest === null) throw problem;
      const request = { store, manifest, level: 'decrypt', keys: { keys: ['env:KEY'] } } as const;
      await verifyBackup({ ...request, binDir: cluster.binFolder }, context);
      manifests.push(manifest);
    }
    const leftovers = await findLeftovers({ store, minAgeMs: -60_000 }, context);
    await removeLeftovers(store, leftovers, context);
    const kept = manifests.flatMap(({ label, id, objects }) =>
      [...objects.map(({ name }) => name), 'manifest.json'].map((name) => `${label}/${id}/${name}`),
    );
    assert.deepEqual((await listAll(store.list(''))).map(({ key }) => key).toSorted(), kept.toSorted());
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    assert.equal(entries.filter((entry) => !entry.isDirectory()).length, kept.length);
    return manifests.length;
  }

  it('at every step of its writing leaves a backup that verifies, or leftovers that go away', async (test) => {
    const outcomes = [0, 0];
    for (let step = 1; ; step += 1) {
      const root = join(folder, `step-${step}`);
      const isKilled = await createAndDie(root, step);
      await using store = await openStore(`file://${root}`, {});
      const listed = existsSync(root) ? await proveSound(root, store) : 0;
      if (!isKilled) {
        assert.equal(listed, 1);
        break;
      }
      outcomes[listed] = (outcomes[listed] ?? 0) + 1;
    }
    test.diagnostic(`killed before and after its commit: ${outcomes.join(', ')} times`);
    assert.ok(
      outcomes.every((count) => count > 3),
      outcomes.join(', '),
    );
  });
});
