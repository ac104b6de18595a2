import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openForeignArchive } from '../../src/backup/foreign-archive.ts';
import { restoreToFile } from '../../src/backup/restore-to-file.ts';
import { verifyBackup, type VerifyLevel } from '../../src/backup/verify-backup.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import { openStore } from '../../src/storage/open-store.ts';
import {
  assertEmptyDatabase,
  assertFailure,
  assertNoDatabase,
  assertNoSession,
  entriesBelow,
} from '../support/cli-assertions.ts';
import { flipBit } from '../support/dump-file.ts';
import { createLargeDatabase } from '../support/large-database.ts';
import { generatePair } from '../support/openpgp-pair.ts';
import { quietContext } from '../support/quiet-context.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

const segmentBytes = 2 ** 20;

/** A backup of several segments and frames, and the ways to open it. */
interface Subject {
  readonly story: Story;
  readonly backup: Manifest;
  readonly object: Buffer;
  /** For the command line, and for use cases called directly. */
  readonly open: string;
  readonly keys: { readonly keys?: readonly string[]; readonly privateKeys?: readonly string[] };
  /** Bytes at the start that say which key fits: a change there may look like the wrong key. */
  readonly headerBytes: number;
}

type Method = 'AES-256' | 'OpenPGP';

let teller: StoryTeller;
const subjects = new Map<Method, Subject>();

before(async () => {
  teller = await openStoryTeller();
  await createLargeDatabase(teller.cluster, 'large', 6);
  subjects.set('AES-256', await makeAesSubject());
  subjects.set('OpenPGP', await makeOpenPgpSubject());
});
after(async () => await teller[Symbol.asyncDispose]());

async function makeAesSubject(): Promise<Subject> {
  const story = teller.story();
  const backup = await story.create('large');
  const object = readFileSync(story.objectPath(backup));
  // Magic, length, JSON of that length, MAC (docs/format.md).
  const headerBytes = 8 + 4 + object.readUInt32BE(8) + 32;
  const keys = { keys: [`file:${join(story.folder, 'aes.key')}`] };
  return { story, backup, object, open: aesKey, keys, headerBytes };
}

async function makeOpenPgpSubject(): Promise<Subject> {
  const story = teller.story();
  const pair = await generatePair(story, 'pair');
  const backup = await story.create('large', `--recipient ${pair.certificate}`);
  const object = readFileSync(story.objectPath(backup));
  const keys = { privateKeys: [pair.privateKey] };
  return { story, backup, object, open: `--private-key ${pair.privateKey}`, keys, headerBytes: 256 };
}

function subjectOf(method: Method): Subject {
  return subjects.get(method) ?? assert.fail(`no ${method} backup`);
}

interface Damage {
  readonly what: string;
  /** Where it begins. */
  readonly position: number;
  readonly bytes: Buffer;
}

/** One bit changed at 50 random places, and in the first and last bytes. */
function flips({ object }: Subject): Damage[] {
  const random = Array.from({ length: 50 }, () => [randomInt(object.byteLength), randomInt(8)] as const);
  // Every bit of the first byte: in OpenPGP it makes one kind of packet look like another.
  const first = Array.from({ length: 8 }, (_, bit) => [0, bit] as const);
  return [...first, [object.byteLength - 1, randomInt(8)] as const, ...random].map(([position, bit]) => {
    return { what: `bit ${bit} of byte ${position} flipped`, position, bytes: flipBit(object, position, bit) };
  });
}

/** Cut at 50 random places, and around every edge of a segment. */
function cuts({ object, headerBytes }: Subject): Damage[] {
  const edges = [headerBytes, headerBytes + 40];
  for (let edge = segmentBytes; edge < object.byteLength; edge += segmentBytes) edges.push(edge, headerBytes + edge);
  const around = edges.flatMap((edge) => [edge - 16, edge - 1, edge, edge + 1]);
  const random = Array.from({ length: 50 }, () => randomInt(object.byteLength));
  const positions = [1, object.byteLength - 1, ...around, ...random].filter((size) => size < object.byteLength);
  return positions.map((size) => ({
    what: `cut after ${size} of ${object.byteLength} bytes`,
    position: size,
    bytes: object.subarray(0, size),
  }));
}

function otherDamages({ object }: Subject): Damage[] {
  const [first, second] = [object.subarray(0, segmentBytes), object.subarray(segmentBytes, 2 * segmentBytes)];
  const rest = object.subarray(2 * segmentBytes);
  return [
    { what: 'empty', position: 0, bytes: Buffer.alloc(0) },
    { what: 'with a byte more', position: object.byteLength, bytes: Buffer.concat([object, Buffer.alloc(1)]) },
    { what: 'twice', position: object.byteLength, bytes: Buffer.concat([object, object]) },
    { what: 'without its second MiB', position: segmentBytes, bytes: Buffer.concat([first, rest]) },
    { what: 'with its second MiB twice', position: segmentBytes, bytes: Buffer.concat([first, second, second, rest]) },
  ];
}

async function rejectsWith(kinds: readonly string[], what: string, action: () => Promise<unknown>): Promise<void> {
  const error: unknown = await action().then(
    () => assert.fail(`${what}: accepted`),
    (error: unknown) => error,
  );
  assert.ok(error instanceof BackupError && kinds.includes(error.kind), `${what}: ${String(error)}`);
}

for (const method of ['AES-256', 'OpenPGP'] as const) {
  describe(`an object with ${method} that is not as it was written`, () => {
    it('is refused by verify, at every place', async () => {
      const subject = subjectOf(method);
      const { story, backup: manifest, keys } = subject;
      const path = story.objectPath(manifest);
      await using store = await openStore(story.storeUrl, {});
      const verify = async (level: VerifyLevel) =>
        await verifyBackup({ store, manifest, level, keys }, quietContext({ PATH: story.env['PATH'] }));
      const damages = [...flips(subject), ...cuts(subject), ...otherDamages(subject)];
      for (const [index, { what, bytes }] of damages.entries()) {
        writeFileSync(path, bytes);
        const level = bytes.byteLength === subject.object.byteLength ? 'digest' : 'presence';
        await rejectsWith(['integrity'], what, async () => await verify(level));
        // Starts a pg_restore each time.
        if (index < 8 || index % 4 === 0) await rejectsWith(['integrity'], what, async () => await verify('decrypt'));
      }
      writeFileSync(path, subject.object);
      assert.ok(((await verify('decrypt')).entries ?? 0) > 0);
    });

    it('is refused by its own format alone, at every place, and leaves no file', async () => {
      const subject = subjectOf(method);
      const path = subject.story.write('damaged', subject.object);
      const output = join(subject.story.folder, 'opened');
      const open = async () => {
        const archive = await openForeignArchive(path, subject.keys, quietContext());
        await restoreToFile(archive, output, quietContext());
      };
      for (const { what, position, bytes } of [...flips(subject), ...cuts(subject), ...otherDamages(subject)]) {
        writeFileSync(path, bytes);
        const kinds = position < subject.headerBytes ? ['integrity', 'key'] : ['integrity'];
        await rejectsWith(kinds, what, open);
        assert.equal(existsSync(output), false, what);
      }
      writeFileSync(path, subject.object);
      await open();
      assert.deepEqual(
        entriesBelow(subject.story.folder).filter((name) => name.includes('opened')),
        [output],
      );
    });

    it('is never restored: exit code 40, and the target stays empty', async () => {
      const subject = subjectOf(method);
      const { story, backup, open, object } = subject;
      const middle = Math.floor(object.byteLength / 2);
      const damages = [flipBit(object, middle), flipBit(object, object.byteLength - 1), object.subarray(0, middle)];
      await teller.cluster.createDatabase(story.target);
      for (const bytes of damages) {
        writeFileSync(story.objectPath(backup), bytes);
        for (const options of ['', '-t large']) {
          const run = await story.run(`restore ${backup.id} ${open} --target ${story.target} ${options}`);
          assertFailure(run, { code: 40, message: /^object "large\/.*" is damaged: /, hint: /Restore another backup/ });
          await assertEmptyDatabase(teller.cluster, story.target);
        }
        const made = await story.run(`restore ${backup.id} ${open} --target made --create-db`);
        assert.equal(made.code, 40);
        await assertNoDatabase(teller.cluster, 'made');
        const piped = await story.run(`restore ${backup.id} ${open} --output -`);
        assertFailure(piped, { code: 40, message: /is damaged/ });
      }
      await assertNoSession(teller.cluster, story.target);
      writeFileSync(story.objectPath(backup), object);
      await story.succeed(`restore ${backup.id} ${open} --target ${story.target}`);
    });

    it('because it is the object of another backup is refused', async () => {
      const { story, backup, open } = subjectOf(method);
      const args = method === 'AES-256' ? aesKey : `--recipient file:${join(story.folder, 'pair.pub.asc')}`;
      const other = await story.create('large', args);
      const path = story.objectPath(other);
      const own = readFileSync(path);
      writeFileSync(path, readFileSync(story.objectPath(backup)));
      for (const level of ['presence', 'digest', 'decrypt']) {
        const run = await story.run(`verify ${other.id} --level ${level} ${open}`);
        // Two backups of the same rows may have the same size.
        if (level === 'presence' && run.code === 0) continue;
        assertFailure(run, { code: 40, message: new RegExp(other.id) });
      }
      const run = await story.run(`restore ${other.id} ${open} --target swapped --create-db`);
      assertFailure(run, { code: 40, message: new RegExp(`^object "large/${other.id}/.*" is damaged`) });
      await assertNoDatabase(teller.cluster, 'swapped');
      writeFileSync(path, own);
      await story.succeed(`verify ${other.id} --level decrypt ${open}`);
    });
  });
}

describe('a plain dump whose script commits on its way', () => {
  it('is checked as a whole before its first line runs', async () => {
    const story = teller.story();
    await teller.cluster.createDatabase('commits', { from: 'large' });
    // The COMMIT of the large object, and after it more than is held back until the end was checked.
    await teller.cluster.runSql(
      'commits',
      `SELECT lo_from_bytea(4711, 'x') \\g /dev/null
       SELECT format('CREATE INDEX ON first (text) WHERE text <> %L', repeat(n::text, 100000))
         FROM generate_series(10, 40) n \\gexec`,
    );
    const backup = await story.create('commits', `${aesKey} --format plain --compress none`);
    const path = story.objectPath(backup);
    const object = readFileSync(path);
    writeFileSync(path, flipBit(object, object.byteLength - 1));
    await teller.cluster.createDatabase(story.target);
    const run = await story.run(`restore ${aesKey} --target ${story.target}`);
    assertFailure(run, { code: 40, message: /is damaged/ });
    await assertEmptyDatabase(teller.cluster, story.target);
  });
});
