import assert from 'node:assert/strict';
import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openBackup } from '../../src/backup/open-backup.ts';
import type { DecryptionRequest } from '../../src/backup/open-decryption.ts';
import { Catalog, type CatalogStore } from '../../src/catalog/catalog.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { assertEmptyDatabase, assertFailure, assertNoDatabase } from '../support/cli-assertions.ts';
import { generatePair, type OpenPgpPair } from '../support/openpgp-pair.ts';
import { quietContext } from '../support/quiet-context.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let pair: OpenPgpPair;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small');
  pair = await generatePair(teller.story(), 'pair');
});
after(async () => await teller[Symbol.asyncDispose]());

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

interface Edit {
  readonly what: string;
  readonly manifest: Json;
}

/** Every manifest in which one value is another one of the same type, one field is missing, or one is added. */
function edits(value: Json, path = ''): Edit[] {
  if (Array.isArray(value)) {
    const inside = value.flatMap((item: Json, index) =>
      edits(item, `${path}[${index}]`).map(({ what, manifest }) => ({ what, manifest: value.with(index, manifest) })),
    );
    if (value.length === 0) return [{ what: `${path} filled`, manifest: ['added'] }];
    return [
      ...inside,
      { what: `${path} emptied`, manifest: [] },
      { what: `${path} doubled`, manifest: [...value, ...value] },
    ];
  }
  if (typeof value === 'object' && value !== null)
    return editsOfObject(value as { readonly [name: string]: Json }, path);
  return [{ what: `${path} changed`, manifest: changed(value) }];
}

function editsOfObject(value: { readonly [name: string]: Json }, path: string): Edit[] {
  const inside = Object.entries(value).flatMap(([name, field]) => {
    const { [name]: _removed, ...without } = value;
    const changes = edits(field, `${path}.${name}`);
    return [
      { what: `${path}.${name} removed`, manifest: without },
      ...changes.map(({ what, manifest }) => ({ what, manifest: { ...value, [name]: manifest } })),
    ];
  });
  return [...inside, { what: `${path}.added`, manifest: { ...value, added: 1 } }];
}

/** Another value that still looks good: the next letter, digit, number. */
function changed(value: string | number | boolean | null): Json {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (value === null) return 'not null';
  const middle = value.search(/[0-8](?=[^0-9]*$)/);
  if (middle === -1) return `${value}x`;
  return `${value.slice(0, middle)}${Number(value[middle]) + 1}${value.slice(middle + 1)}`;
}

/** What a change to the manifest's own name for a key may look like. */
const kindsOfKeys = ['integrity', 'key'];

async function assertRefused(story: Story, keys: DecryptionRequest, { what, manifest }: Edit): Promise<void> {
  await using store = await openStore(story.storeUrl, {});
  const [entry] = await new Catalog(store).list();
  assert.ok(entry !== undefined);
  const { label, id } = entry;
  writeFileSync(join(story.storeFolder, label, id, 'manifest.json'), JSON.stringify(manifest));
  const error: unknown = await openBackup({ store, selector: { by: 'id', id }, keys }, quietContext()).then(
    () => assert.fail(`${what}: accepted`),
    (error: unknown) => error,
  );
  const kinds = /wrappedKeys|seal/.test(what) ? kindsOfKeys : ['integrity'];
  assert.ok(error instanceof BackupError && kinds.includes(error.kind), `${what}: ${String(error)}`);
}

describe('a manifest of which one field was edited, removed or added', () => {
  it('is refused with AES-256, whatever the field', async () => {
    const story = teller.story();
    const backup = await story.create('small', `${aesKey} -t people -t visits`);
    const keys = { keys: [`file:${join(story.folder, 'aes.key')}`] };
    const all = edits(backup as Json);
    assert.ok(all.length > 80, `${all.length} edits`);
    for (const edit of all) await assertRefused(story, keys, edit);
    writeFileSync(story.manifestPath(backup), JSON.stringify(backup));
    assert.match(await story.succeed(`verify --level decrypt ${aesKey}`), /^verified/);
  });

  it('is refused with OpenPGP where a signer is demanded, whatever the field', async () => {
    const story = teller.story();
    const sign = `--recipient ${pair.certificate} --signing-key ${pair.privateKey}`;
    const backup = await story.create('small', sign);
    const keys = { privateKeys: [pair.privateKey], signers: [pair.certificate] };
    // The signature itself says who has signed, and its armor holds more than the signature.
    const all = edits(backup as Json).filter(({ what }) => !/^\.seal\.(?:signer|value) changed$/.test(what));
    const { seal } = await teller.story().create('small', sign);
    for (const edit of [...all, { what: 'the seal of another', manifest: { ...backup, seal } as Json }]) {
      await assertRefused(story, keys, edit);
    }
    writeFileSync(story.manifestPath(backup), JSON.stringify(backup));
    const open = `--private-key ${pair.privateKey} --signer ${pair.certificate}`;
    assert.match(await story.succeed(`verify --level decrypt ${open}`), /^verified/);
  });

  const bySize: Readonly<Record<string, (manifest: Manifest) => void>> = {
    'its size': ({ objects: [object] }) => object && (object.storedBytes += 1),
    'its digest': ({ objects: [object] }) => object && (object.sha256 = '0'.repeat(64)),
    'its size before compression': ({ objects: [object] }) => object && (object.plainBytes += 1),
    'its compression': (manifest) => (manifest.compression = { method: 'gzip', level: 6 }),
  };
  for (const [what, edit] of Object.entries(bySize)) {
    it(`is refused without a signature too when it no longer fits the object: ${what}`, async () => {
      const story = teller.story();
      const backup = await story.create('small', `--recipient ${pair.certificate}`);
      const edited = structuredClone(backup);
      edit(edited);
      writeFileSync(story.manifestPath(backup), JSON.stringify(edited));
      await teller.cluster.createDatabase(story.target);
      const open = `--private-key ${pair.privateKey}`;
      for (const command of [`verify --level decrypt ${open}`, `restore ${open} --target ${story.target}`]) {
        assertFailure(await story.run(command), { code: 40, message: new RegExp(backup.id), hint: null });
      }
      await assertEmptyDatabase(teller.cluster, story.target);
    });
  }
});

describe('a manifest that is damaged', () => {
  it('by a cut at any byte is refused, and shown as damaged', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    const whole = readFileSync(story.manifestPath(backup));
    await using store = await openStore(story.storeUrl, {});
    // The last byte is a line feed: without it the document is whole.
    for (let size = 0; size < whole.byteLength - 1; size += 1) {
      writeFileSync(story.manifestPath(backup), whole.subarray(0, size));
      const [entry] = await new Catalog(store).list();
      assert.equal(entry?.problem?.kind, 'integrity', `cut after ${size} bytes`);
    }
  });

  const contents: Readonly<Record<string, (whole: string) => string | Uint8Array>> = {
    'that is empty': () => '',
    'that is cut in half': (whole) => whole.slice(0, whole.length / 2),
    'that is no JSON': () => 'this is no manifest\n',
    'that is other JSON': () => '{"backups": []}',
    'of a version to come': (whole) => whole.replace('"version": 1', '"version": 2'),
    'that is not UTF-8': () => Buffer.alloc(100, 0xff),
    'that is much too large': () => Buffer.alloc(17 * 2 ** 20, ' '),
  };
  for (const [what, contentOf] of Object.entries(contents)) {
    it(`${what} is exit code 40 for every command, and nothing is restored`, async () => {
      const story = teller.story();
      const backup = await story.create('small');
      const path = story.manifestPath(backup);
      writeFileSync(path, contentOf(readFileSync(path, 'utf8')));
      const commands = [
        'show',
        'verify',
        `restore ${aesKey} --target damaged --create-db`,
        `restore ${aesKey} --output out`,
      ];
      for (const command of commands) {
        assertFailure(await story.run(command), { code: 40, message: /manifest/, hint: null });
      }
      await assertNoDatabase(teller.cluster, 'damaged');
      const listed = await story.run('list');
      assert.equal(listed.code, 40, listed.stderr);
      assert.match(listed.stdout, new RegExp(`^small +${backup.id} .* DAMAGED`, 'm'));
    });
  }
});

describe('a manifest that goes away while the backups are listed', () => {
  it('is left out, and the others are listed', async () => {
    const story = teller.story();
    const gone = await story.create('small', `${aesKey} --label gone`);
    const kept = await story.create('small', `${aesKey} --label kept`);
    await using store = await openStore(story.storeUrl, {});
    const list = async function* (prefix: string) {
      for await (const object of store.list(prefix)) yield object;
      rmSync(story.manifestPath(gone), { force: true });
    };
    const changing = { ...store, url: store.url, list, get: store.get.bind(store) } as unknown as CatalogStore;
    const entries = await new Catalog(changing).list();
    assert.deepEqual(
      entries.map(({ id }) => id),
      [kept.id],
    );
  });
});

describe('a backup in the place of another', () => {
  it('is refused when its folder was renamed, or copied under another label', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    const folder = dirname(story.manifestPath(backup));
    const renamed = '20991231T235959Z-ffffff';
    renameSync(folder, join(dirname(folder), renamed));
    const run = await story.run(`restore latest ${aesKey} --target placed --create-db`);
    assertFailure(run, { code: 40, message: /belongs to backup small\//, hint: null });
    cpSync(join(dirname(folder), renamed), join(story.storeFolder, 'other', backup.id), { recursive: true });
    const other = await story.run(`restore ${backup.id} --label other ${aesKey} --target placed --create-db`);
    assertFailure(other, { code: 40, message: /belongs to backup small\//, hint: null });
    await assertNoDatabase(teller.cluster, 'placed');
  });

  it('is refused when the manifest says so too: its seal does not fit', async () => {
    const story = teller.story();
    const backup = await story.create('small');
    const renamed = '20991231T235959Z-ffffff';
    const folder = dirname(story.manifestPath(backup));
    const text = readFileSync(story.manifestPath(backup), 'utf8').replaceAll(backup.id, renamed);
    renameSync(folder, join(dirname(folder), renamed));
    writeFileSync(join(dirname(folder), renamed, 'manifest.json'), text);
    const run = await story.run(`restore latest ${aesKey} --target placed --create-db`);
    assertFailure(run, { code: 40, message: /was changed: its seal does not fit$/, hint: /who or what changed/ });
    await assertNoDatabase(teller.cluster, 'placed');
  });

  it('is not taken for the latest when its manifest is gone', async () => {
    const story = teller.story();
    const older = await story.create('small');
    const newer = await story.create('small');
    rmSync(story.manifestPath(newer));
    const shown = await story.ask<Manifest>('show latest');
    assert.equal(shown.id, older.id);
  });
});
