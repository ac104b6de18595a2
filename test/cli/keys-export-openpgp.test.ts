import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { generateKey } from 'openpgp';
import type { ExportedKey } from '../../src/backup/export-key.ts';
import { assertFailure, entriesBelow } from '../support/cli-assertions.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { openGpg } from '../support/gpg.ts';
import { generatePair } from '../support/openpgp-pair.ts';
import { readQrPng, readQrSvg } from '../support/qr-reader.ts';
import { commandIn, restoreBySheet, shell, wholeCheck } from '../support/recovery-sheet.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let small: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small', { scale: 100 });
  small = await fingerprintDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

const read = (story: Story, name: string): string => readFileSync(join(story.folder, name), 'utf8');

describe('the recovery sheet of an OpenPGP private key', () => {
  it('restores with the passphrase of the key, scanned or cut out of the text', async () => {
    const story = teller.story();
    story.write('passphrase', 'open sesame\n');
    const pair = await generatePair(story, 'ops', '--passphrase file:passphrase');
    await story.create('small', `--recipient ${pair.certificate}`);
    const exported = await story.ask<ExportedKey>(`keys export --private-key ${pair.privateKey} --output sheet`);
    assert.equal(exported.keyId, pair.fingerprint);
    assert.equal(exported.isLocked, true);
    const sheet = read(story, 'sheet.txt');
    rmSync(`${pair.prefix}.key.asc`);
    assert.match(sheet, /^Passphrase +needed as well/m);
    assert.doesNotMatch(sheet, /open sesame/);
    const [block = ''] = /^-----BEGIN[^]*^-----END.*\n/m.exec(sheet) ?? [];
    const scans = [readQrPng(join(story.folder, 'sheet.png')), readQrSvg(join(story.folder, 'sheet.svg'))];
    for (const text of [block, ...scans.map((scan) => scan.toString())]) {
      assert.equal(text, block);
      story.write('typed.txt', text);
      await shell(story, commandIn(sheet, /cp typed\.txt/));
      assert.equal(await shell(story, commandIn(sheet, /cut -c 1-16/)), wholeCheck(sheet));
    }
    const checks = [...sheet.matchAll(/ {3}\d+ ([0-9a-f]{4})(?= |$)/gm)].map(([, check]) => check);
    assert.deepEqual((await shell(story, commandIn(sheet, /while read/))).split('\n'), checks);
    await shell(story, commandIn(sheet, /chmod/));
    await restoreBySheet(story, sheet, small);
  });

  it('is itself a file that gpg imports', async () => {
    const story = teller.story();
    const pair = await generatePair(story, 'ops');
    await story.succeed(`keys export --private-key ${pair.privateKey} --output sheet`);
    await using gpg = await openGpg();
    await gpg.run(['--import', join(story.folder, 'sheet.txt')]);
    assert.ok((await gpg.fingerprints()).includes(pair.fingerprint));
  });

  it('warns, on paper too, of a key without passphrase', async () => {
    const story = teller.story();
    const pair = await generatePair(story, 'ops');
    const { code, stdout, stderr } = await story.run(`keys export --private-key ${pair.privateKey} --output sheet`);
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`warn: private key ${pair.fingerprint} has no passphrase`));
    assert.match(read(story, 'sheet.txt'), /^Passphrase +NONE: WHOEVER HAS THIS SHEET HAS THE KEY$/m);
    const secret = read(story, 'ops.key.asc').split('\n')[4] ?? '';
    for (const text of [stdout, stderr, readFileSync(story.auditFile, 'utf8')]) assert.ok(!text.includes(secret));
  });

  it('has no QR code where the key is too long for one', async () => {
    const story = teller.story();
    const { privateKey } = await generateKey({ type: 'rsa', rsaBits: 2048, userIDs: { name: '长 Ж'.repeat(20) } });
    story.write('rsa.asc', privateKey);
    const printed = await story.succeed('keys export --private-key file:rsa.asc --output sheet');
    assert.match(printed, /^the key is too long for a QR code: there is only the text$/m);
    assert.deepEqual(
      entriesBelow(story.folder).filter((path) => path.includes('sheet')),
      [join(story.folder, 'sheet.txt')],
    );
    const sheet = read(story, 'sheet.txt');
    assert.match(sheet, /^There is no QR code of this key/m);
    assert.match(sheet, /^[\x20-\x7e\n]+$/);
    assert.ok(sheet.split('\n').every((line) => line.length <= 72));
  });

  it('is of one key only', async () => {
    const story = teller.story();
    const [one, two] = [await generatePair(story, 'one'), await generatePair(story, 'two')];
    story.write(
      'both.asc',
      readFileSync(`${one.prefix}.key.asc`, 'utf8') + readFileSync(`${two.prefix}.key.asc`, 'utf8'),
    );
    const both = await story.run('keys export --private-key file:both.asc --output sheet');
    assertFailure(both, { code: 30, message: /holds 2 keys, not one/ });
    const certificate = await story.run(`keys export --private-key ${one.certificate} --output sheet`);
    assertFailure(certificate, { code: 30, message: /private key cannot be read/ });
    assert.deepEqual(
      entriesBelow(story.folder).filter((path) => path.includes('sheet')),
      [],
    );
  });
});
