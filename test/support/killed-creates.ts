import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findLeftovers, removeLeftovers } from '../../src/backup/find-leftovers.ts';
import { verifyBackup } from '../../src/backup/verify-backup.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { assertNoSession } from './cli-assertions.ts';
import { createLargeDatabase } from './large-database.ts';
import { quietContext } from './quiet-context.ts';
import { createRandom } from './seeded-random.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from './story.ts';
import { listAll } from './test-bytes.ts';
import { waitUntil } from './wait-until.ts';

export interface KilledCreates {
  /** Kills, unless `LIBRELOG_TEST_KILLS` says how many. */
  readonly kills: number;
  /** More arguments for `create`. */
  readonly args?: string;
  /** Opens the story's empty store, and says how the command line finds it. */
  open(story: Story): Promise<{ readonly store: ObjectStore; readonly env: Readonly<Record<string, string>> }>;
}

const database = 'large';

/**
 * Registers a test that ends creates by kill -9, each at another moment between its start and its end: what is listed
 * always verifies, and everything else is found among the leftovers and goes away. `LIBRELOG_TEST_SEED` repeats a run.
 */
export function testKilledCreates(name: string, subject: KilledCreates): void {
  describe(`creates into ${name} that are killed`, () => {
    let teller: StoryTeller;
    before(async () => {
      teller = await openStoryTeller();
      await createLargeDatabase(teller.cluster, database, 30);
    });
    after(async () => await teller[Symbol.asyncDispose]());

    const kills = Number(process.env['LIBRELOG_TEST_KILLS'] ?? subject.kills);
    it(`at ${kills} random moments never leave a backup that does not verify`, async (test) => {
      const seed = Number(process.env['LIBRELOG_TEST_SEED'] ?? randomInt(2 ** 31));
      test.diagnostic(`LIBRELOG_TEST_SEED=${seed}`);
      const story = teller.story();
      const { store, env } = await subject.open(story);
      await using _ = store;
      const create = `create --database ${database} ${aesKey} ${subject.args ?? ''}`;
      const killed = new KillStage(story, store, { create, env });
      const durationMs = await killed.measureCreate();
      const random = createRandom(seed);
      for (let kill = 1; kill <= kills; kill += 1) {
        const afterMs = Math.round(random() * durationMs * 1.05);
        await killed.createAndKill(afterMs);
        await killed.assertSound(
          `kill ${kill} of ${kills}, after ${afterMs} of ${Math.round(durationMs)} ms, seed ${seed}`,
        );
      }
      test.diagnostic(`${killed.listed} of ${kills + 2} creates came to their end`);
      await story.succeed(create, { env });
      assert.equal(await killed.proveListed(), killed.listed);
    });
  });
}

interface KilledRun {
  /** The command. */
  readonly create: string;
  readonly env: Readonly<Record<string, string>>;
}

class KillStage {
  readonly #story: Story;
  readonly #store: ObjectStore;
  readonly #run: KilledRun;
  /** By the folder of each backup, how many files it has. */
  readonly #proven = new Map<string, number>();

  constructor(story: Story, store: ObjectStore, run: KilledRun) {
    this.#story = story;
    this.#store = store;
    this.#run = run;
  }

  get listed(): number {
    return this.#proven.size;
  }

  async #succeed(): Promise<void> {
    const { create, env } = this.#run;
    await this.#story.succeed(create, { env });
  }

  /** How long a create takes when nobody kills it, and its programs are in memory already. */
  async measureCreate(): Promise<number> {
    await this.#succeed();
    const startedAt = performance.now();
    await this.#succeed();
    const durationMs = performance.now() - startedAt;
    assert.equal(await this.proveListed(), 2);
    return durationMs;
  }

  async createAndKill(afterMs: number): Promise<void> {
    const { create, env } = this.#run;
    const run = this.#story.start(create, { env });
    await sleep(afterMs);
    run.kill('SIGKILL');
    const { code, signal, stderr } = await run.ended;
    assert.ok(signal === 'SIGKILL' || code === 0, `exit code ${code}: ${stderr}`);
    await assertNoSession(this.#story.cluster, database);
  }

  /** Everything there belongs to a backup that verifies, or is found as a leftover and goes away. */
  async assertSound(context: string): Promise<void> {
    await this.proveListed();
    const backups = [...this.#proven.keys()];
    const now = quietContext();
    const find = async () => await findLeftovers({ store: this.#store, minAgeMs: -60_000 }, now);
    const leftovers = await find();
    const unfinished = await listAll(this.#store.listUnfinished(''));
    assert.deepEqual(idsOf(leftovers.unfinished), idsOf(unfinished), context);
    const foreign = (await this.#keys()).filter((key) => !backups.some((backup) => key.startsWith(backup)));
    assert.deepEqual(leftovers.objects.map(({ key }) => key).toSorted(), foreign, context);
    // What a server has taken before the kill may become visible after it.
    await waitUntil(async () => {
      await removeLeftovers(this.#store, await find(), now);
      const left = await find();
      return left.objects.length + left.unfinished.length === 0;
    }, `${context}: no leftover is left`);
    const files = [...this.#proven.values()].reduce((sum, count) => sum + count, 0);
    assert.equal((await this.#keys()).length, files, context);
  }

  /** Verifies every backup listed, each once; gives their number. */
  async proveListed(): Promise<number> {
    const entries = await new Catalog(this.#store).list();
    for (const { label, id, manifest, problem } of entries) {
      const folder = `${label}/${id}/`;
      if (this.#proven.has(folder)) continue;
      if (manifest === null) throw problem;
      const keys = { keys: [`file:${this.#story.folder}/aes.key`] };
      const binDir = this.#story.cluster.binFolder;
      await verifyBackup({ store: this.#store, manifest, level: 'decrypt', keys, binDir }, quietContext());
      this.#proven.set(folder, manifest.objects.length + 1);
    }
    return entries.length;
  }

  async #keys(): Promise<string[]> {
    return (await listAll(this.#store.list(''))).map(({ key }) => key).toSorted();
  }
}

function idsOf(uploads: readonly { readonly id: string }[]): string[] {
  return uploads.map(({ id }) => id).toSorted();
}
