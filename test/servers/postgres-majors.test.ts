import assert from 'node:assert/strict';
import { delimiter } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import {
  assertComesBack,
  backUp,
  bringBack,
  openDatabase,
  type DatabaseUnderTest,
  type Passage,
} from '../support/database-under-test.ts';
import { assertFailure, assertNothingBelow } from '../support/cli-assertions.ts';
import { clientsOf, copyServer } from '../support/other-postgres.ts';
import { startCluster } from '../support/postgres-cluster.ts';
import {
  createEveryKindDatabase,
  createSampleDatabase,
  createSampleRoles,
  everyKindExtension,
} from '../support/sample-database.ts';
import { aesKey, openStoryTeller } from '../support/story.ts';

const newClients = 17;

const passages: readonly Passage[] = [
  { encryption: 'AES-256', jobs: 1 },
  { encryption: 'OpenPGP', jobs: 4 },
  { encryption: 'AES-256', jobs: 1, format: 'plain' },
];

/** With the client programs of the distribution, or newer ones, and what that major's SQL can make. */
async function openMajor(major: number): Promise<DatabaseUnderTest> {
  const postgres = copyServer(major, everyKindExtension);
  const isNew = major > 15;
  const server = { ...postgres, ...(isNew && { clientFolder: clientsOf(newClients) }) };
  return await openDatabase(server, isNew ? createEveryKindDatabase : createSampleDatabase);
}

for (const major of [13, 14, 16, 17]) {
  describe(`a database of PostgreSQL ${major}`, () => {
    let database: DatabaseUnderTest;
    before(async () => {
      database = await openMajor(major);
    });
    after(async () => await database[Symbol.asyncDispose]());

    for (const passage of passages) {
      const { encryption, jobs, format = 'custom' } = passage;
      it(`comes back identical: ${encryption}, jobs ${jobs}, ${format} format`, async () => {
        await assertComesBack(database, passage);
      });
    }
  });
}

/** What a move to another major must not change; definitions are written differently there. */
function contentOf({ rows, sequences, largeObjects }: DatabaseFingerprint): Partial<DatabaseFingerprint> {
  return { rows, sequences, largeObjects };
}

describe('another major', () => {
  it('gets every row, sequence and large object of an older one', async () => {
    await using database = await openMajor(13);
    using postgres = copyServer(newClients);
    await using newer = await startCluster({ ...postgres, clientFolder: clientsOf(newClients) });
    await createSampleRoles(newer);
    const { PGDATABASE: _none, ...server } = newer.env();
    const env = { ...server, PATH: ['/usr/bin', '/bin', newer.binFolder].join(delimiter) };
    for (const jobs of [1, 4]) {
      const passage: Passage = { encryption: 'AES-256', jobs };
      const story = database.teller.story();
      await backUp(database, story, passage);
      await bringBack(database, story, { ...passage, env });
      const restored = await fingerprintDatabase(newer, story.target);
      assert.deepEqual(contentOf(restored), contentOf(database.original));
    }
  });

  it('is refused, with what to install, where it is newer than the client programs', async () => {
    using postgres = copyServer(18);
    await using teller = await openStoryTeller({ ...postgres, clientFolder: clientsOf(newClients) });
    const story = teller.story();
    assertFailure(await story.run(`create --database postgres ${aesKey}`), {
      code: 10,
      message: /pg_dump 17\S* \(".*"\) is too old for PostgreSQL 18/,
      hint: /postgresql-client-18/,
    });
    assertNothingBelow(story.storeFolder);
  });
});
