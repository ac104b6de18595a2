import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { findLeftovers, removeLeftovers } from '../../src/backup/find-leftovers.ts';
import { rewrapBackups } from '../../src/backup/rewrap-backups.ts';
import { verifyKeys } from '../../src/backup/verify-keys.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { collect } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { quietContext } from '../support/quiet-context.ts';
import { idOf, makeSmallBackup } from '../support/small-backups.ts';
import { listAll } from '../support/test-bytes.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-kill-rewrap-'));
after(async () => await rm(folder, { recursive: true }));

const env = Object.fromEntries(['OLD', 'NEW', 'OTHER'].map((name) => [name, randomBytes(32).toString('hex')]));
const context = quietContext(env);
const support = join(import.meta.dirname, '..', 'support');

async function makeStore(count: number): Promise<ObjectStore> {
  const store = await openStore(`file://${await mkdtemp(join(folder, 'store-'))}`, {});
  const encryption = { method: 'aes-256', keys: ['env:OLD'] } as const;
  for (let number = 0; number < count; number += 1) {
    await makeSmallBackup({ store, id: idOf(number), encryption }, context);
  }
  return store;
}

interface RewrapRun {
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
}

/** Runs `rewrapper.ts` as a process of its own; `isKilled` settles when it is to be killed. */
async function runRewrapper(
  store: ObjectStore,
  changes: Readonly<Record<string, string>> = {},
  whenKilled?: Promise<unknown>,
): Promise<RewrapRun> {
  const args = ['--import', join(support, 'die-at-step.ts'), join(support, 'rewrapper.ts'), store.url];
  const child = spawn(process.execPath, args, {
    env: { ...env, ...changes },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  void whenKilled?.then(() => child.kill('SIGKILL'));
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  assert.ok(code === 0 || signal === 'SIGKILL', `exit code ${code}`);
  return { signal, stdout };
}

/** How many backups each of the keys opens. */
async function countOpened(store: ObjectStore, key: string): Promise<number> {
  const verified = await verifyKeys({ store, keys: { keys: [key] } }, context);
  return verified.filter(({ outcome }) => outcome === 'opened').length;
}

/** Every backup is whole, and opened by the old key or the new one; what else is there is a leftover, and goes away. */
async function assertSound(store: ObjectStore, count: number, about: string): Promise<number> {
  const entries = await new Catalog(store).list();
  assert.deepEqual(
    entries.map(({ problem }) => problem),
    Array(count).fill(null),
    about,
  );
  const rewrapped = await countOpened(store, 'env:NEW');
  assert.equal((await countOpened(store, 'env:OLD')) + rewrapped, count, about);
  const leftovers = await findLeftovers({ store, minAgeMs: -60_000 }, context);
  assert.deepEqual(leftovers.objects, [], about);
  await removeLeftovers(store, leftovers, context);
  assert.deepEqual(await listAll(store.listUnfinished('')), [], about);
  return rewrapped;
}

async function finish(store: ObjectStore): Promise<void> {
  const request = { store, unlock: { keys: ['env:OLD'] }, wrap: { keys: ['env:NEW'] }, isDryRun: false };
  await rewrapBackups(request, context);
}

async function readManifest(store: ObjectStore, number: number): Promise<Buffer> {
  return await collect(store.get(`shop/${idOf(number)}/manifest.json`), Number.POSITIVE_INFINITY);
}

describe('a rewrap that is killed', () => {
  it('at every step of its writing leaves the old manifest or the new one, whole', async () => {
    await using original = await makeStore(1);
    const manifest = await readManifest(original, 0);
    const outcomes = [0, 0];
    for (let step = 1; ; step += 1) {
      const copy = join(folder, `step-${step}`);
      await cp(new URL(original.url).pathname, copy, { recursive: true });
      await using store = await openStore(`file://${copy}`, {});
      const { signal } = await runRewrapper(store, { DIE_AT: String(step) });
      const rewrapped = await assertSound(store, 1, `step ${step}`);
      assert.deepEqual(await readManifest(store, 0), manifest);
      if (signal === null) {
        assert.equal(rewrapped, 1);
        assert.ok(step > 12, `${step} steps`);
        break;
      }
      outcomes[rewrapped] = (outcomes[rewrapped] ?? 0) + 1;
      await finish(store);
      assert.equal(await assertSound(store, 1, `step ${step}, again`), 1);
      assert.equal((await listAll(store.list(''))).length, 3);
    }
    assert.ok(
      outcomes.every((count) => count > 0),
      JSON.stringify(outcomes),
    );
  });

  it('between many backups is finished by the next one', async (test) => {
    const count = 40;
    await using store = await makeStore(count);
    const progress: number[] = [];
    for (const revisions of [1, 10, 25]) {
      const started = watchRevisions(store, revisions);
      await runRewrapper(store, {}, started);
      progress.push(await assertSound(store, count, `${revisions} revisions`));
    }
    test.diagnostic(`rewrapped before each kill: ${progress.join(', ')}`);
    await finish(store);
    assert.equal(await assertSound(store, count, 'finished'), count);
    assert.equal((await listAll(store.list(''))).length, 3 * count);
  });
});

/** Settles when so many revisions are there. */
async function watchRevisions(store: ObjectStore, count: number): Promise<void> {
  for (;;) {
    const keys = await listAll(store.list(''));
    if (keys.filter(({ key }) => key.endsWith('manifest.2.json')).length >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('two rewraps at once', () => {
  it('to the same key write one revision of each manifest', async () => {
    const count = 40;
    await using store = await makeStore(count);
    const runs = await Promise.all([runRewrapper(store), runRewrapper(store)]);
    const lines = runs.flatMap(({ stdout }) => stdout.trim().split('\n'));
    assert.equal(lines.filter((line) => line.endsWith(' rewrapped')).length, count);
    assert.equal(lines.filter((line) => line.endsWith(' unchanged')).length, count);
    assert.equal(await assertSound(store, count, 'after both'), count);
    assert.equal((await listAll(store.list(''))).length, 3 * count);
  });

  it('that add two keys lose neither', async () => {
    const count = 40;
    await using store = await makeStore(count);
    const add = { ADD: 'yes' };
    await Promise.all([runRewrapper(store, add), runRewrapper(store, { ...add, NEW: env['OTHER'] ?? '' })]);
    for (const key of ['env:OLD', 'env:NEW', 'env:OTHER']) assert.equal(await countOpened(store, key), count, key);
  });
});
