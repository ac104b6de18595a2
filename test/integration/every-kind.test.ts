import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { busySchema, countKeptRows, readBalances, startBusySchema } from '../support/busy-schema.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import { relocatePostgres, type RelocatedPostgres } from '../support/relocated-postgres.ts';
import { createEveryKindDatabase, everyKindExtension } from '../support/sample-database.ts';
import { openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

const run = promisify(execFile);
const source = 'every_kind';

/** As pg_restore lists them. Missing: tablespaces and the database itself, which are not restored; security labels. */
const kindsOfEntries = [
  'ACCESS METHOD,ACL,AGGREGATE,BLOB,BLOBS,CAST,CHECK CONSTRAINT,COLLATION,COMMENT,CONSTRAINT,CONVERSION,DEFAULT,DEFAULT ACL',
  'DOMAIN,EVENT TRIGGER,EXTENSION,FK CONSTRAINT,FOREIGN DATA WRAPPER,FOREIGN TABLE,FUNCTION,INDEX,INDEX ATTACH',
  'MATERIALIZED VIEW,MATERIALIZED VIEW DATA,OPERATOR,OPERATOR CLASS,OPERATOR FAMILY,POLICY,PROCEDURAL LANGUAGE,PROCEDURE',
  'PUBLICATION,PUBLICATION TABLE,PUBLICATION TABLES IN SCHEMA,ROW SECURITY,RULE,SCHEMA,SEQUENCE,SEQUENCE OWNED BY',
  'SEQUENCE SET,SERVER,SHELL TYPE,STATISTICS,SUBSCRIPTION,TABLE,TABLE ATTACH,TABLE DATA,TEXT SEARCH CONFIGURATION',
  'TEXT SEARCH DICTIONARY,TEXT SEARCH PARSER,TEXT SEARCH TEMPLATE,TRANSFORM,TRIGGER,TYPE,USER MAPPING,VIEW',
].flatMap((line) => line.split(','));

let postgres: RelocatedPostgres;
let teller: StoryTeller;
let alice: OpenPgpPair;
let original: DatabaseFingerprint;

before(async () => {
  postgres = await relocatePostgres(everyKindExtension);
  teller = await openStoryTeller({ binFolder: postgres.binFolder });
  await createEveryKindDatabase(teller.cluster, source, { withSubscriptions: true });
  original = await fingerprintDatabase(teller.cluster, source);
  alice = await generatePair(teller.story(), 'alice');
});
after(async () => {
  await teller[Symbol.asyncDispose]();
  postgres[Symbol.dispose]();
});

const encryptions = {
  'AES-256': () => ({ create: '--key file:aes.key', open: '--key file:aes.key' }),
  OpenPGP: () => ({ create: `--recipient ${alice.certificate}`, open: `--private-key ${alice.privateKey}` }),
};

/** How many streams there are of a backup, and of its restore. */
const jobsOf = { 'AES-256': [1, 4], OpenPGP: [2, 8], busy: [4] } as const;

function jobsOption(count: number): string {
  return count === 1 ? '' : `--jobs ${count}`;
}

async function restore(story: Story, open: string, count: number): Promise<void> {
  await story.succeed(`restore latest --target ${story.target} --create-db ${open} ${jobsOption(count)}`);
}

/** A database with subscriptions cannot be dropped. */
async function drop(database: string): Promise<void> {
  const { cluster } = teller;
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

describe('the database with an object of every kind', () => {
  it('has an entry of every kind in its dump, and an extension with rows of its own', async () => {
    const { cluster } = teller;
    const archive = join(cluster.folder, 'every-kind.dump');
    await run(join(cluster.binFolder, 'pg_dump'), ['-Fc', '-Z0', '-f', archive, '-d', cluster.url(source)]);
    const { stdout } = await run(join(cluster.binFolder, 'pg_restore'), ['--list', archive], { maxBuffer: 2 ** 26 });
    const isMissing = (kind: string): boolean => !new RegExp(`^\\d+; \\d+ \\d+ ${kind}\\b`, 'm').test(stdout);
    assert.deepEqual(kindsOfEntries.filter(isMissing), []);
    assert.match(stdout, / TABLE DATA settings whole_table /);
  });

  for (const encryption of ['AES-256', 'OpenPGP'] as const) {
    for (const count of jobsOf[encryption]) {
      it(`comes back identical: ${encryption}, jobs ${count}`, async () => {
        const story = teller.story();
        const { create, open } = encryptions[encryption]();
        await story.create(source, `${create} ${jobsOption(count)}`);
        await restore(story, open, count);
        assertSameDatabase(await fingerprintDatabase(teller.cluster, story.target), original);
        await drop(story.target);
      });
    }
  }
});

describe('the same database, while pgbench and DDL go on in it', () => {
  for (const count of jobsOf.busy) {
    it(`comes back as it was at one moment: jobs ${count}`, async () => {
      const { cluster } = teller;
      const story = teller.story();
      const { create, open } = encryptions['AES-256']();
      await cluster.query(source, `DROP SCHEMA IF EXISTS ${busySchema} CASCADE`);
      const busy = await startBusySchema(cluster, source);
      const before = await readBalances(cluster, source);
      await story.create(source, `${create} ${jobsOption(count)}`);
      const rounds = await busy.stop();
      const afterwards = await readBalances(cluster, source);
      await restore(story, open, count);

      const restored = await readBalances(cluster, story.target);
      assert.equal(new Set(restored.sums).size, 1, `pgbench's sums differ: ${restored.sums.join(', ')}`);
      assert.ok(restored.transfers >= before.transfers, 'the backup is older than its start');
      assert.ok(restored.transfers < afterwards.transfers, 'nothing went on beside the backup');
      const kept = await countKeptRows(cluster, story.target);
      assert.ok(kept.length < rounds, 'no table came while the backup was made');
      assert.deepEqual(new Set(kept), new Set([100]));
      const quiet = await fingerprintDatabase(cluster, story.target, { except: busySchema });
      assertSameDatabase(quiet, original);
      await drop(story.target);
    });
  }
});
