import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBackup } from '../../src/backup/create-backup.ts';
import { openBackup } from '../../src/backup/open-backup.ts';
import { restoreToDatabase } from '../../src/backup/restore-to-database.ts';
import { verifyBackup } from '../../src/backup/verify-backup.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { parseCompression } from '../../src/core/compression.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { assertEmptyDatabase } from './cli-assertions.ts';
import { dumpByHand } from './dump-file.ts';
import { makeFakeTools, type FakeTools } from './fake-tools/fake-tool.ts';
import { startCluster, type Cluster } from './postgres-cluster.ts';
import { quietContext } from './quiet-context.ts';

/** The real pg_dump, a file that it has written before, or that file and a failure after it. */
export type DumpTool = 'pg_dump' | 'premade' | 'failing';

type Tools = Readonly<Record<Exclude<DumpTool, 'pg_dump'>, FakeTools>>;

/** Its backup is uploaded in three parts, of 8 MiB and less. */
const large = 'large';
/** The same in two parts, for most of the runs: their number is what takes time. */
const small = 'small';
const target = 'restored';

/** Databases, and the use cases on them: a process for each run would take minutes. */
export class SweepStage implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #tools: Tools;
  readonly #context = quietContext({ SWEEP_KEY: randomBytes(32).toString('hex') });
  readonly #checksum: string;

  private constructor(cluster: Cluster, tools: Tools, checksum: string) {
    this.#cluster = cluster;
    this.#tools = tools;
    this.#checksum = checksum;
  }

  static async open(): Promise<SweepStage> {
    const cluster = await startCluster({ auth: 'trust' });
    await createBlocks(cluster, large, 18);
    await createBlocks(cluster, small, 9);
    await cluster.createDatabase(target);
    const dump = join(cluster.folder, 'premade.dump');
    writeFileSync(dump, await dumpByHand(cluster, small, 'custom'), { mode: 0o644 });
    const tools = { premade: makeFakeTools(), failing: makeFakeTools() };
    tools.premade.add('pg_dump', `exec cat ${dump}`);
    tools.failing.add('pg_dump', `cat ${dump}; exit 1`);
    return new SweepStage(cluster, tools, await checksumOf(cluster, small));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tools of Object.values(this.#tools)) tools[Symbol.dispose]();
    await this.#cluster[Symbol.asyncDispose]();
  }

  async create(stores: ObjectStore | readonly ObjectStore[], tool: DumpTool): Promise<void> {
    const source = tool === 'pg_dump' ? large : small;
    const request = {
      connection: resolveConnection(source, this.#cluster.env(source)),
      stores: [stores].flat(),
      allowPartial: false,
      dump: { format: 'custom', filters: {} },
      compression: parseCompression(tool === 'pg_dump' ? 'zstd' : 'none'),
      encryption: { method: 'aes-256', keys: ['env:SWEEP_KEY'] },
      binDir: tool === 'pg_dump' ? this.#cluster.binFolder : this.#tools[tool].folder,
      rotation: { maxAgeDays: 90, overdue: 'warn' },
      stallTimeoutMs: 60_000,
      isDryRun: false,
    } as const;
    await createBackup(request, this.#context);
  }

  /** Proves every backup that is listed; gives their number, which must be `expected` where that is said. */
  async verifyAll(store: ObjectStore, expected?: number): Promise<number> {
    const entries = await new Catalog(store).list();
    for (const { manifest, problem } of entries) {
      if (manifest === null) throw problem;
      const request = { store, manifest, level: 'decrypt', keys: { keys: ['env:SWEEP_KEY'] } } as const;
      await verifyBackup({ ...request, binDir: this.#cluster.binFolder }, this.#context);
    }
    if (expected !== undefined) assert.equal(entries.length, expected);
    return entries.length;
  }

  /** Into an empty database; what an earlier restore has left there is removed before. */
  async restore(store: ObjectStore): Promise<void> {
    await this.#cluster.runSql(target, 'DROP VIEW IF EXISTS counted; DROP TABLE IF EXISTS blocks;');
    const keys = { keys: ['env:SWEEP_KEY'] };
    using backup = await openBackup({ store, selector: { by: 'latest' }, keys }, this.#context);
    await restoreToDatabase(
      backup.archive,
      {
        connection: resolveConnection(target, this.#cluster.env(target)),
        mode: 'existing',
        options: {},
        clean: false,
        binDir: this.#cluster.binFolder,
        stallTimeoutMs: 60_000,
      },
      this.#context,
    );
  }

  async assertRestored(): Promise<void> {
    assert.equal(await checksumOf(this.#cluster, target), this.#checksum);
  }

  async assertEmpty(): Promise<void> {
    await assertEmptyDatabase(this.#cluster, target);
  }
}

/** So many MB that do not compress. */
async function createBlocks(cluster: Cluster, database: string, megabytes: number): Promise<void> {
  await cluster.createDatabase(database);
  await cluster.runSql(
    database,
    `CREATE TABLE blocks AS SELECT n, (SELECT string_agg(sha512((n * 1000 + m)::text::bytea), '')
       FROM generate_series(1, 100) AS m) AS bytes FROM generate_series(1, ${megabytes} * 160) AS n;
     CREATE VIEW counted AS SELECT count(*) FROM blocks;`,
  );
}

async function checksumOf(cluster: Cluster, database: string): Promise<string> {
  const sql = `SELECT count || md5(string_agg(n || md5(bytes), ',' ORDER BY n)) FROM blocks, counted GROUP BY count`;
  return (await cluster.runSql(database, sql)).trim();
}
