import type { Cluster, ClusterOptions } from './postgres-cluster.ts';
import { assertSameDatabase } from './database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from './database-fingerprint.ts';
import { generatePair, type OpenPgpPair } from './openpgp-pair.ts';
import { relocatePostgres } from './relocated-postgres.ts';
import { createEveryKindDatabase, everyKindExtension } from './sample-database.ts';
import { openStoryTeller, type Story, type StoryTeller } from './story.ts';

/** One way through a store and back. */
export interface Passage {
  readonly encryption: 'AES-256' | 'OpenPGP';
  /** How many streams there are of the backup, and of its restore. */
  readonly jobs: number;
  readonly format?: 'plain';
  /** Added to the story's own surroundings: another store, and how to reach it. */
  readonly env?: Readonly<Record<string, string>>;
}

const jobsOf = {
  folder: { 'AES-256': [1, 4], OpenPGP: [2, 8] },
  s3: { 'AES-256': [2, 8], OpenPGP: [1, 4] },
} as const;

/**
 * Every number of streams with every encryption, each in one of the two places; in both, which takes twice the time, with
 * `LIBRELOG_TEST_ALL_PASSAGES=yes`.
 */
export function passagesThrough(place: 'folder' | 's3'): Passage[] {
  const isWhole = process.env['LIBRELOG_TEST_ALL_PASSAGES'] === 'yes';
  return (['AES-256', 'OpenPGP'] as const).flatMap((encryption) => {
    const counts = isWhole ? [1, 2, 4, 8] : jobsOf[place][encryption];
    return counts.map((jobs) => ({ encryption, jobs }));
  });
}

/** A database that goes to stores and comes back from them. */
export interface DatabaseUnderTest extends AsyncDisposable {
  readonly teller: StoryTeller;
  readonly name: string;
  readonly original: DatabaseFingerprint;
  readonly alice: OpenPgpPair;
}

/** On a server of its own. */
export async function openDatabase(
  server: ClusterOptions & Disposable,
  make: (cluster: Cluster, name: string) => Promise<void>,
): Promise<DatabaseUnderTest> {
  const teller = await openStoryTeller(server);
  const name = 'under_test';
  await make(teller.cluster, name);
  return {
    teller,
    name,
    original: await fingerprintDatabase(teller.cluster, name),
    alice: await generatePair(teller.story(), 'alice'),
    [Symbol.asyncDispose]: async () => {
      await teller[Symbol.asyncDispose]();
      server[Symbol.dispose]();
    },
  };
}

/** The database with an object of every kind, on a server that has its extension. */
export async function openEveryKind(): Promise<DatabaseUnderTest> {
  return await openDatabase(await relocatePostgres(everyKindExtension), async (cluster, name) => {
    await createEveryKindDatabase(cluster, name, { withSubscriptions: true });
  });
}

export async function assertComesBack(database: DatabaseUnderTest, passage: Passage): Promise<void> {
  const { teller, original } = database;
  const story = teller.story();
  await backUp(database, story, passage);
  await bringBack(database, story, passage);
  assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), original);
  await dropWithSubscriptions(teller.cluster, story.target);
}

export async function backUp({ name, alice }: DatabaseUnderTest, story: Story, passage: Passage): Promise<void> {
  const { encryption, env = {} } = passage;
  const key = encryption === 'AES-256' ? '--key file:aes.key' : `--recipient ${alice.certificate}`;
  await story.create(name, `${key} ${jobsOption(passage)} ${formatOption(passage)}`, { env });
}

/** Into the story's target. */
export async function bringBack({ alice }: DatabaseUnderTest, story: Story, passage: Passage): Promise<void> {
  const { encryption, env = {} } = passage;
  const key = encryption === 'AES-256' ? '--key file:aes.key' : `--private-key ${alice.privateKey}`;
  await story.succeed(`restore latest --target ${story.target} --create-db ${key} ${jobsOption(passage)}`, { env });
}

function jobsOption({ jobs }: Passage): string {
  return jobs === 1 ? '' : `--jobs ${jobs}`;
}

function formatOption({ format }: Passage): string {
  return format === undefined ? '' : `--format ${format}`;
}

/** A database with subscriptions cannot be dropped. */
export async function dropWithSubscriptions(cluster: Cluster, database: string): Promise<void> {
  const subscriptions = await cluster.query<{ name: string }>(
    database,
    `SELECT quote_ident(subname) AS name FROM pg_subscription
     WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  for (const { name } of subscriptions) {
    await cluster.query(database, `ALTER SUBSCRIPTION ${name} SET (slot_name = NONE)`);
    await cluster.query(database, `DROP SUBSCRIPTION ${name}`);
  }
  await cluster.dropDatabase(database);
}
