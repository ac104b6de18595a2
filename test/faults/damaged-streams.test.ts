import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Manifest, ManifestObject, ObjectRole } from '../../src/catalog/manifest.ts';
import { dataScriptLastLine, dataScriptPreamble } from '../../src/postgres/data-script.ts';
import { assertFailure, assertNoSession } from '../support/cli-assertions.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { flipBit } from '../support/dump-file.ts';
import { forgeObject } from '../support/forge-object.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { createPlainStreamsDatabase } from '../support/streams-database.ts';

/** In a definition, to be replaced by a text of the same length. */
const placeholder = 'a text with room for a command';

let teller: StoryTeller;
let pair: OpenPgpPair;
let empty: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createPlainStreamsDatabase(teller.cluster, 'source', 110_000);
  await teller.cluster.runSql('source', `CREATE VIEW remark AS SELECT '${placeholder}' AS text`);
  pair = await generatePair(teller.story(), 'pair');
  await teller.cluster.createDatabase('kept_empty');
  empty = await fingerprintDatabase(teller.cluster, 'kept_empty');
});
after(async () => await teller[Symbol.asyncDispose]());

function pathOf(story: Story, { label, id }: Manifest, { name }: ManifestObject): string {
  return join(story.storeFolder, label, id, name);
}

function objectsOf(backup: Manifest, role: ObjectRole): readonly ManifestObject[] {
  return backup.objects.filter((object) => object.role === role);
}

function firstOf(backup: Manifest, role: ObjectRole): ManifestObject {
  return objectsOf(backup, role)[0] ?? assert.fail(`no object of role ${role}`);
}

/** Restores into what is there, with one session and with two, and into what has to be made: nothing is left. */
async function assertNeverRestored(
  story: Story,
  open: string,
  failure: { code: number; message: RegExp },
): Promise<void> {
  for (const jobs of [1, 2]) {
    const run = await story.run(`restore ${open} --target kept_empty --jobs ${jobs}`);
    assertFailure(run, { ...failure, hint: null });
    await assertNoSession(teller.cluster, 'kept_empty');
    assertSameDatabase(await fingerprintDatabase(teller.cluster, 'kept_empty'), empty);
  }
  assertFailure(await story.run(`restore ${open} --target made --create-db --jobs 2`), { ...failure, hint: null });
  const names = await teller.cluster.query('postgres', `SELECT datname FROM pg_database WHERE datname ~ '^made'`);
  assert.deepEqual(names, []);
}

const methods = {
  'AES-256': { create: () => aesKey, open: () => aesKey },
  OpenPGP: { create: () => `--recipient ${pair.certificate}`, open: () => `--private-key ${pair.privateKey}` },
} as const;

for (const [method, { create, open }] of Object.entries(methods)) {
  describe(`an object of several, with ${method}, that is not as it was written, is never restored`, () => {
    let story: Story;
    let backup: Manifest;
    before(async () => {
      story = teller.story();
      backup = await story.create('source', `${create()} --jobs 2`);
    });

    const damages: readonly (readonly [string, ObjectRole, (bytes: Buffer) => Buffer])[] = [
      ['a bit flipped', 'data', (bytes) => flipBit(bytes, bytes.byteLength >> 1)],
      ['a bit flipped', 'remainder', (bytes) => flipBit(bytes, bytes.byteLength >> 1)],
      ['its last byte cut off', 'data', (bytes) => bytes.subarray(0, -1)],
      ['its last byte cut off', 'schema', (bytes) => bytes.subarray(0, -1)],
    ];
    for (const [what, role, damage] of damages) {
      it(`${what}: ${role}`, async () => {
        const object = firstOf(backup, role);
        const path = pathOf(story, backup, object);
        const bytes = readFileSync(path);
        writeFileSync(path, damage(bytes));
        const message = new RegExp(`^object "source/.*/${object.name}" is damaged: `);
        await assertNeverRestored(story, open(), { code: 40, message });
        writeFileSync(path, bytes);
      });
    }

    it('missing', async () => {
      const path = pathOf(story, backup, firstOf(backup, 'data'));
      const bytes = readFileSync(path);
      rmSync(path);
      await assertNeverRestored(story, open(), { code: 21, message: /data-001/ });
      assertFailure(await story.run(`verify ${open()} --level presence`), {
        code: 40,
        message: /data-001.* is missing/,
      });
      writeFileSync(path, bytes);
    });

    it('in the place of another one', async () => {
      const [first, second] = objectsOf(backup, 'data').map((object) => pathOf(story, backup, object));
      assert.ok(first !== undefined && second !== undefined);
      const bytes = [readFileSync(first), readFileSync(second)] as const;
      writeFileSync(first, bytes[1]);
      writeFileSync(second, bytes[0]);
      await assertNeverRestored(story, open(), {
        code: 40,
        message: /^object "source\/.*\/data-00\d\..*" is damaged: /,
      });
      writeFileSync(first, bytes[0]);
      writeFileSync(second, bytes[1]);
    });

    it('left out of the manifest', async () => {
      const path = story.manifestPath(backup);
      const original = readFileSync(path, 'utf8');
      const dropped = firstOf(backup, 'data').name;
      const objects = backup.objects.filter(({ name }) => name !== dropped);
      writeFileSync(path, JSON.stringify({ ...backup, objects }));
      await assertNeverRestored(story, open(), { code: 40, message: /manifest|not where the contents/ });
      assert.equal((await story.run(`verify ${open()} --level decrypt`)).code, 40);
      writeFileSync(path, original);
    });

    it('but it is restored once all of them are as they were', async () => {
      await story.succeed(`restore ${open()} --target kept_empty --jobs 2`);
      await teller.cluster.dropDatabase('kept_empty');
      await teller.cluster.createDatabase('kept_empty');
    });
  });
}

describe('a backup by somebody who knows the public key only', () => {
  const copy = (table: string) => `COPY "public"."${table}" ("n") FROM stdin;\n`;
  const script = (body: string) =>
    Buffer.from(`${dataScriptPreamble('UTF8')}\n${body}${dataScriptLastLine}\n`, 'latin1');
  const hostile: Readonly<Record<string, Buffer>> = {
    'between two COPYs': script(`${copy('small_rows')}1\n\\.\n\\! touch ran\n${copy('small_rows')}2\n\\.\n`),
    'behind an end mark that psql takes': script(`${copy('small_rows')}1\n\\.\r\n\\! touch ran\n`),
    'in a COPY': script(`COPY "public"."small_rows" ("n") FROM PROGRAM 'touch ran';\n`),
    'behind a quote that another encoding hides': Buffer.from(
      script(`COPY "a\x83"."\\! touch ran "("n") FROM stdin;\n\\.\n`).toString('latin1').replace("'UTF8'", "'SJIS'"),
      'latin1',
    ),
    'after the last line': Buffer.concat([script(''), Buffer.from('\\! touch ran\n')]),
  };

  let story: Story;
  let backup: Manifest;
  before(async () => {
    story = teller.story();
    backup = await story.create('source', `--recipient ${pair.certificate} --jobs 2 --compress none`);
  });

  /** Puts something else in the place of an object; dispose puts the old one back. */
  async function forge(role: ObjectRole, change: (bytes: Buffer) => Uint8Array): Promise<Disposable> {
    const object = firstOf(backup, role);
    const [path, manifestPath] = [pathOf(story, backup, object), story.manifestPath(backup)];
    const [bytes, manifest] = [readFileSync(path), readFileSync(manifestPath)];
    rmSync(join(story.folder, 'plain'), { force: true });
    await story.succeed(`decrypt ${path} --private-key ${pair.privateKey} --output plain`);
    const content = change(readFileSync(join(story.folder, 'plain')));
    await forgeObject({ story, backup, object, certificate: pair.certificate, content });
    const undo = () => {
      writeFileSync(path, bytes);
      writeFileSync(manifestPath, manifest);
    };
    return { [Symbol.dispose]: undo };
  }

  for (const [where, content] of Object.entries(hostile)) {
    it(`runs no command on the machine that restores: ${where}`, async () => {
      using _ = await forge('data', () => content);
      const open = `--private-key ${pair.privateKey}`;
      await assertNeverRestored(story, open, { code: 40, message: /the script of rows is damaged/ });
      assertFailure(await story.run(`verify ${open} --level decrypt`), { code: 40, message: /script of rows/ });
      assert.equal(existsSync(join(story.folder, 'ran')), false);
    });
  }

  it('runs no command on the machine that restores: in a definition', async () => {
    using _ = await forge('schema', (bytes) => {
      const text = bytes.toString('latin1');
      assert.ok(text.includes(placeholder));
      const command = `' AS text;\n\\! touch ran\n--`.padEnd(placeholder.length, '-');
      return Buffer.from(text.replace(placeholder, command), 'latin1');
    });
    const open = `--private-key ${pair.privateKey}`;
    // psql refuses it where it reads the script; the server, where it gets it as one message.
    const message =
      /^psql failed .*backslash commands are restricted|^query failed on .*: syntax error at or near "\\"/;
    await assertNeverRestored(story, open, { code: 10, message });
    assert.equal(existsSync(join(story.folder, 'ran')), false);
  });

  const changes: Readonly<Record<string, readonly [ObjectRole, (text: string) => string]>> = {
    'with a row more in the contents': [
      'contents',
      (text) => text.replace(/"rows":(\d+)/, (_, n) => `"rows":${Number(n) + 1}`),
    ],
    'without its last row': ['data', (text) => text.replace(/\n[^\n]*\n\\\.\n/, '\n\\.\n')],
  };
  for (const [what, [role, change]] of Object.entries(changes)) {
    it(`is not restored ${what}`, async () => {
      using _ = await forge(role, (bytes) => Buffer.from(change(bytes.toString('latin1')), 'latin1'));
      const open = `--private-key ${pair.privateKey}`;
      const message = /^\d+ rows of table "public"\."\w+_rows" came back, but \d+ were backed up$/;
      await assertNeverRestored(story, open, { code: 40, message });
      assertFailure(await story.run(`verify ${open} --level decrypt`), { code: 40, message: /but \d+ were backed up/ });
    });
  }

  it('is not restored with a table that its contents do not name, or without one that they do', async () => {
    using _ = await forge('contents', (bytes) =>
      Buffer.from(bytes.toString('latin1').replace('"name":"middle_rows"', '"name":"other"'), 'latin1'),
    );
    const message = /the script of rows is damaged: it .* rows of table "public"\./;
    await assertNeverRestored(story, `--private-key ${pair.privateKey}`, { code: 40, message });
  });

  it('is restored when it does no harm: nobody but a signer could tell', async () => {
    using _ = await forge('data', (bytes) => bytes);
    await story.succeed(`restore --private-key ${pair.privateKey} --target harmless --create-db --jobs 2`);
    await teller.cluster.dropDatabase('harmless');
  });
});
