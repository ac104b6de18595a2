import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AuditEntry } from '../../src/audit/audit-event.ts';
import type { ExportedKey } from '../../src/backup/export-key.ts';
import { assertFailure, entriesBelow } from '../support/cli-assertions.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { readQrPng, readQrSvg } from '../support/qr-reader.ts';
import { commandIn, restoreBySheet, shell, wholeCheck } from '../support/recovery-sheet.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;
let small: DatabaseFingerprint;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small', { scale: 100 });
  small = await fingerprintDatabase(teller.cluster, 'small');
});
after(async () => await teller[Symbol.asyncDispose]());

const read = (story: Story, name: string): string => readFileSync(join(story.folder, name), 'utf8');

describe('the recovery sheet of an AES-256 key', () => {
  it('restores when it is typed in, by the steps that it prints', async () => {
    const story = teller.story();
    await story.create('small');
    await story.succeed('keys export --key file:aes.key --output sheet');
    const sheet = read(story, 'sheet.txt');
    rmSync(join(story.folder, 'aes.key'));
    const rows = [...sheet.matchAll(/^ {2}(\d) {5}([0-9a-f]{4}(?: [0-9a-f]{4}){3}) {5}([0-9a-f]{4})$/gm)];
    assert.deepEqual(
      rows.map(([, number]) => number),
      ['1', '2', '3', '4'],
    );
    story.write('typed.txt', rows.map(([, , digits]) => `${digits}\n`).join(''));
    await shell(story, commandIn(sheet, /< typed\.txt > backup\.key/));
    assert.equal(await shell(story, commandIn(sheet, /cut -c 1-16/)), wholeCheck(sheet));
    assert.deepEqual(
      (await shell(story, commandIn(sheet, /while read/))).split('\n'),
      rows.map(([, , , check]) => check),
    );
    await shell(story, commandIn(sheet, /chmod/));
    assert.equal(statSync(join(story.folder, 'backup.key')).mode & 0o777, 0o600);
    await restoreBySheet(story, sheet, small);
  });

  it('names the line that was mistyped', async () => {
    const story = teller.story();
    await story.succeed('keys export --key file:aes.key --output sheet');
    const sheet = read(story, 'sheet.txt');
    const rows = [...sheet.matchAll(/^ {2}\d {5}((?:[0-9a-f]{4} ?){4}) {4}([0-9a-f]{4})$/gm)];
    const typed = rows.map(([, digits = '']) => digits.trim());
    typed[2] = (typed[2] ?? '').replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    story.write('typed.txt', `${typed.join('\n')}\n`);
    await shell(story, commandIn(sheet, /< typed\.txt > backup\.key/));
    assert.notEqual(await shell(story, commandIn(sheet, /cut -c 1-16/)), wholeCheck(sheet));
    const checks = (await shell(story, commandIn(sheet, /while read/))).split('\n');
    assert.deepEqual(
      rows.flatMap(([, , check], index) => (check === checks[index] ? [] : [index + 1])),
      [3],
    );
  });

  it('restores when its QR code is scanned, as PNG or as SVG', async () => {
    const story = teller.story();
    await story.create('small');
    const key = read(story, 'aes.key');
    const exported = await story.ask<ExportedKey>('keys export --key file:aes.key --output sheet');
    const sheet = read(story, 'sheet.txt');
    rmSync(join(story.folder, 'aes.key'));
    const scans = [readQrPng(join(story.folder, 'sheet.png')), readQrSvg(join(story.folder, 'sheet.svg'))];
    assert.deepEqual(exported.pngPath, 'sheet.png');
    for (const scan of scans) {
      assert.equal(scan.toString(), key);
      writeFileSync(join(story.folder, 'backup.key'), scan, { mode: 0o600 });
      assert.equal(await shell(story, commandIn(sheet, /cut -c 1-16/)), wholeCheck(sheet));
      await restoreBySheet(story, sheet, small);
      rmSync(join(story.folder, 'backup.key'));
    }
  });

  it('is for its owner only, fit for printing, and says nothing of the host', async () => {
    const story = teller.story();
    const { keyId } = await story.ask<{ keyId: string }>('keys generate aes-256 --output made.key');
    await story.succeed(`keys export --key file:${story.folder}/made.key --output sheet`);
    for (const ending of ['txt', 'png', 'svg']) {
      assert.equal(statSync(join(story.folder, `sheet.${ending}`)).mode & 0o777, 0o600);
    }
    const sheet = read(story, 'sheet.txt');
    assert.match(sheet, /^[\x20-\x7e\n]+$/);
    assert.deepEqual(
      sheet.split('\n').filter((line) => line.length > 72),
      [],
    );
    assert.match(sheet, new RegExp(`^Key id +${keyId} `, 'm'));
    const [, made = ''] = /made (\S+)$/m.exec(read(story, 'made.key')) ?? [];
    assert.match(sheet, new RegExp(`^Created +${RegExp.escape(made)}$`, 'm'));
    assert.ok(!sheet.includes(story.folder) && !sheet.includes('made.key'));
  });

  it('is of the active key of a keyring, or of the one that is named', async () => {
    const story = teller.story();
    const original = read(story, 'aes.key');
    const { keyId: first } = await story.ask<ExportedKey>('keys export --key file:aes.key --output first');
    await story.succeed('keys rotate aes-256 --key file:aes.key');
    const { keyId: second } = await story.ask<ExportedKey>('keys export --key file:aes.key --output second');
    assert.notEqual(second, first);
    const named = await story.ask<ExportedKey>(`keys export --key file:aes.key@${first} --output named`);
    assert.equal(named.keyId, first);
    assert.equal(readQrPng(join(story.folder, 'named.png')).toString(), original);
    assert.notEqual(readQrPng(join(story.folder, 'second.png')).toString(), original);
    const unknown = await story.run('keys export --key file:aes.key@0123456789abcdef --output unknown');
    assertFailure(unknown, { code: 30, message: /has no key 0123456789abcdef/, hint: null });
  });

  it('is recorded, and the key is nowhere but in the files', async () => {
    const story = teller.story();
    const key = Buffer.from(read(story, 'aes.key'), 'hex');
    const { code, stdout, stderr } = await story.run('keys export --key file:aes.key -o sheet --log-level debug');
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^wrote the recovery sheet of key [0-9a-f]{16} to sheet\.txt\nwrote its QR code to sheet\.png/,
    );
    const log = readFileSync(story.auditFile, 'utf8');
    for (const form of [key.toString('hex'), key.toString('base64'), key.toString('hex').slice(0, 16)]) {
      for (const text of [stdout, stderr, log]) assert.ok(!text.includes(form));
    }
    const entries = log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditEntry);
    const [, id = ''] = /of key ([0-9a-f]{16})/.exec(stdout) ?? [];
    assert.deepEqual(
      entries.map(({ action, outcome, key }) => ({ action, outcome, key })),
      ['key-access', 'export'].map((action) => {
        return { action, outcome: 'success', key: { source: 'file:aes.key', id, purpose: 'export' } };
      }),
    );
  });
});

describe('keys export', () => {
  const refused: Readonly<Record<string, { readonly args: string; readonly code: number; readonly message: RegExp }>> =
    {
      'a key that stays in its service': {
        args: '--key aws-kms:alias/backup --output sheet',
        code: 2,
        message: /key aws-kms:alias\/backup never leaves its service/,
      },
      'the same as a private key': {
        args: '--private-key vault-transit:transit/backup --output sheet',
        code: 2,
        message: /never leaves its service/,
      },
      'no key': { args: '--output sheet', code: 2, message: /of one key, not of 0/ },
      'two keys': { args: `${aesKey} --private-key file:x --output sheet`, code: 2, message: /of one key, not of 2/ },
      'standard output': { args: `${aesKey} --output -`, code: 2, message: /is written to files/ },
      'an AES key as a private key': {
        args: '--private-key file:aes.key --output sheet',
        code: 30,
        message: /private key file holds no key/,
      },
      'a missing key': { args: '--key file:missing --output sheet', code: 30, message: /file:missing/ },
      'a folder that is not there': {
        args: `${aesKey} --output missing/sheet`,
        code: 30,
        message: /cannot write file/,
      },
    };

  for (const [name, { args, code, message }] of Object.entries(refused)) {
    it(`refuses ${name}, and leaves nothing`, async () => {
      const story = teller.story();
      assertFailure(await story.run(`keys export ${args}`), { code, message, ...(code === 30 && { hint: null }) });
      assert.deepEqual(entriesBelow(story.folder), [join(story.folder, 'aes.key')]);
    });
  }

  for (const ending of ['txt', 'png', 'svg']) {
    it(`overwrites no file .${ending}, and leaves nothing beside it`, async () => {
      const story = teller.story();
      const path = story.write(`sheet.${ending}`, 'of another key');
      const failed = await story.run(`keys export ${aesKey} --output sheet`);
      assertFailure(failed, { code: 50, message: new RegExp(`sheet\\.${ending}" exists already`) });
      assert.equal(readFileSync(path, 'utf8'), 'of another key');
      assert.deepEqual(entriesBelow(story.folder).toSorted(), [join(story.folder, 'aes.key'), path]);
      const [access, failure] = readFileSync(story.auditFile, 'utf8').split('\n');
      assert.match(access ?? '', /"action":"key-access".*"outcome":"success"/);
      assert.match(failure ?? '', /"action":"export".*"kind":"conflict".*"outcome":"failure"/);
    });
  }

  it('takes its key from a configuration file, which has a list of them', async () => {
    const story = teller.story();
    story.write('one.yaml', 'key: [file:aes.key]\n');
    await story.succeed('keys export --config one.yaml --output sheet');
    assert.equal(readQrPng(join(story.folder, 'sheet.png')).toString(), read(story, 'aes.key'));
    story.write('two.yaml', 'key: [file:aes.key, env:OTHER]\n');
    const two = await story.run('keys export --config two.yaml --output other');
    assertFailure(two, { code: 2, message: /of one key, not of 2/, hint: /configuration file/ });
  });

  it('repeats nothing of a key that was given where its reference belongs', async () => {
    const story = teller.story();
    const key = read(story, 'aes.key');
    const failed = await story.run(['keys', 'export', '--key', key, '--output', 'sheet']);
    assertFailure(failed, { code: 3, message: /starts with no known scheme/ });
    assert.ok(!failed.stderr.includes(key));
    const log = readFileSync(story.auditFile, 'utf8');
    assert.ok(!log.includes(key));
    assert.match(log, /"source":"\(unreadable reference\)"/);
  });

  it('hands out nothing that cannot be recorded', async () => {
    const story = teller.story();
    story.write('occupied', '');
    const env = { LIBRELOG_BACKUP_AUDIT_FILE: join(story.folder, 'occupied', 'audit.jsonl') };
    const failed = await story.run(`keys export ${aesKey} --output sheet`, { env });
    assertFailure(failed, { code: 3, message: /audit log/ });
    assert.deepEqual(
      entriesBelow(story.folder).filter((path) => path.includes('sheet')),
      [],
    );
  });
});
