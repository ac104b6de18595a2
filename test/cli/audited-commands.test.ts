import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AuditEntry } from '../../src/audit/audit-event.ts';
import { assertFailure, assertNothingBelow, entriesBelow } from '../support/cli-assertions.ts';
import { generatePair } from '../support/openpgp-pair.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';

let teller: StoryTeller;

before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small', { scale: 100 });
});
after(async () => await teller[Symbol.asyncDispose]());

function entriesOf(story: Story): AuditEntry[] {
  return readFileSync(story.auditFile, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as AuditEntry);
}

function describeEntries(story: Story): string[] {
  return entriesOf(story).map(({ action, outcome, key }) => `${action} ${key?.purpose ?? '-'} ${outcome}`);
}

async function runOk(story: Story, command: string, env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await story.run(command, { env });
  assert.equal(code, 0, stderr);
  return stdout;
}

describe('the audit log of commands', () => {
  it('has every use of a key and what was done, with key, backup and store', async () => {
    const story = teller.story();
    const manifest = await story.create('small');
    await runOk(story, `restore latest --output out.dump ${aesKey}`);
    await runOk(story, `verify ${aesKey} --level decrypt`);
    await runOk(story, `delete ${manifest.id} --yes`);
    assert.deepEqual(describeEntries(story), [
      'key-access wrap success',
      'key-access wrap success',
      'encrypt - success',
      'key-access unwrap success',
      'decrypt - success',
      'key-access unwrap success',
      'verify - success',
      'delete - success',
    ]);
    const [wrap, , encrypt, , , , , deletion] = entriesOf(story);
    const keyId = manifest.encryption.method === 'openpgp' ? '' : manifest.encryption.wrappedKeys[0];
    assert.ok(keyId !== '' && keyId?.provider === 'key');
    assert.deepEqual(wrap?.key, { source: 'file:aes.key', id: keyId.keyId, purpose: 'wrap' });
    const backup = { id: manifest.id, label: 'small', store: story.storeUrl };
    assert.deepEqual(encrypt?.backup, backup);
    assert.deepEqual(deletion?.backup, backup);
    assert.ok((encrypt?.durationMs ?? 0) > 0);
  });

  it('has failed attempts, with the error as it was reported', async () => {
    const story = teller.story();
    await story.create('small');
    story.write('other.key', 'ab'.repeat(32));
    const wrong = await story.run('restore latest --output out.dump --key file:other.key');
    assert.equal(wrong.code, 30);
    const missing = await story.run('restore latest --output out.dump --key file:missing.key');
    assert.equal(missing.code, 30);
    assert.deepEqual(describeEntries(story).slice(3), [
      'decrypt - failure',
      'key-access unwrap failure',
      'decrypt - failure',
    ]);
    const [, , , refused, , absent] = entriesOf(story);
    assert.equal(refused?.error?.kind, 'key');
    assert.match(wrong.stderr, new RegExp(RegExp.escape(refused?.error?.message ?? '?')));
    assert.match(absent?.error?.message ?? '', /file:missing\.key/);
  });

  const pasted = 'a-secret-where-its-reference-belongs';
  const misplaced = {
    [`create -d small --key ${pasted}`]: 'open',
    [`create -d small --encrypt aes-256 --passphrase ${pasted}`]: 'passphrase',
    [`create -d small ${aesKey} --database-password ${pasted}`]: 'database-password',
    [`list --sse-c-key ${pasted}`]: 'server-side-encryption',
    [`keys list --key ${pasted}`]: 'list',
    [`keys verify --key ${pasted}`]: 'open',
    [`keys rotate aes-256 --key ${pasted}`]: 'rotate',
    [`keys shred --key ${pasted} --key-version 0123456789abcdef`]: 'shred',
    [`keys export --key ${pasted} -o sheet`]: 'export',
    [`keys rewrap ${aesKey} --to-key ${pasted}`]: 'open',
    [`keys generate aes-256 --to-key ${pasted}`]: 'generate',
    [`fields encrypt --context x --field y --key ${pasted}`]: 'fields-encrypt',
  };
  for (const [command, purpose] of Object.entries(misplaced)) {
    it(`has the refusal of what is no reference, without it, in ${command.replace(pasted, '…')}`, async () => {
      const story = teller.story();
      mkdirSync(story.storeFolder);
      for (const [text, source] of [
        [pasted, '(unreadable reference)'],
        [`secret:${pasted}`, '(unreadable reference)'],
        [`env:${pasted}`, 'env:'],
      ] as const) {
        const run = await story.run(command.replace(pasted, text));
        assertFailure(run, { code: 3, message: /^secret reference / });
        const refused = entriesOf(story).filter(({ key }) => key?.source === source);
        assert.partialDeepStrictEqual(refused.at(-1), { action: 'key-access', outcome: 'failure', key: { purpose } });
        assert.doesNotMatch(readFileSync(story.auditFile, 'utf8') + run.stderr + run.stdout, new RegExp(pasted));
      }
    });
  }

  it('has passphrases and private keys that were read', async () => {
    const story = teller.story();
    story.write('pass', 'correct horse battery staple');
    const pair = await generatePair(story, 'reader', '--passphrase file:pass');
    await runOk(story, `create -d small --recipient ${pair.certificate}`);
    await runOk(
      story,
      `restore latest -o out.dump --private-key ${pair.privateKey} --private-key-passphrase file:pass`,
    );
    assert.deepEqual(describeEntries(story), [
      'key-access passphrase success',
      'generate generate success',
      'encrypt - success',
      'key-access private-key success',
      'key-access passphrase success',
      'decrypt - success',
    ]);
  });

  it('does not have dry runs, which do nothing', async () => {
    const story = teller.story();
    await runOk(story, `create -d small ${aesKey} --dry-run`);
    assert.deepEqual(describeEntries(story), ['key-access wrap success']);
  });

  it('is proven by the heads in manifests, also to have been cut off', async () => {
    const story = teller.story();
    const manifest = await story.create('small');
    assert.equal(manifest.auditHead?.sequence, 2);
    assert.match(await runOk(story, `audit verify --store ${story.storeUrl}`), /1 recorded heads are in it/);
    writeFileSync(story.auditFile, '');
    const cut = await story.run(`audit verify --store ${story.storeUrl}`);
    assert.match(cut.stdout, /recorded head is of chain [0-9a-f]{32}, which is another log/);
    await runOk(story, `create -d small ${aesKey}`);
    const [first = ''] = readFileSync(story.auditFile, 'utf8').split('\n');
    const second = await story.create('small');
    assert.equal(second.auditHead?.sequence, 5);
    writeFileSync(story.auditFile, `${first}\n`);
    const truncated = await story.run(`audit verify --store ${story.storeUrl}`);
    assert.equal(truncated.code, 40);
    assert.match(truncated.stderr, /audit log is truncated at entry 2/);
  });

  it('is missed when it was begun anew, where it is said which other logs there are', async () => {
    const story = teller.story();
    const chain = (await story.create('small')).auditHead?.chain ?? '';
    const verify = `audit verify --store ${story.storeUrl}`;
    await runOk(story, `${verify} --other-chain none`);
    writeFileSync(story.auditFile, '');
    await story.create('small');
    await runOk(story, verify);
    await runOk(story, `${verify} --other-chain ${chain}`);
    for (const other of ['none', '0'.repeat(32)]) {
      const { code, stdout, stderr } = await story.run(`${verify} --other-chain ${other}`);
      assert.equal(code, 40);
      assert.match(stdout, /^audit log is whole: /);
      assert.match(stderr, new RegExp(`recorded heads are of chains that are not in this log: ${chain}\n`));
    }
    assertFailure(await story.run(`${verify} --other-chain x`), { code: 2, message: /"x" is not a chain/ });
  });

  it('is authenticated by a key', async () => {
    const story = teller.story();
    const env = { LIBRELOG_BACKUP_AUDIT_KEY: 'file:aes.key' };
    await runOk(story, `create -d small ${aesKey}`, env);
    assert.ok(entriesOf(story).every(({ mac }) => mac !== undefined));
    assert.match(await runOk(story, 'audit verify', env), /macs are right/);
    assertFailure(await story.run(`create -d small ${aesKey}`), { code: 3, message: /protected by a key/ });
  });
});

describe('an audit log that cannot be written', () => {
  it('fails the command before anything is done', async () => {
    const story = teller.story();
    story.write('occupied', '');
    const env = { LIBRELOG_BACKUP_AUDIT_FILE: join(story.folder, 'occupied', 'audit.jsonl') };
    const failure = { code: 3, message: /audit log .*a part of its path is not a folder/ };
    assertFailure(await story.run(`create -d small ${aesKey}`, { env }), failure);
    assertNothingBelow(story.storeFolder);
    await story.create('small');
    const files = entriesBelow(story.storeFolder);
    assertFailure(await story.run(`restore latest --target postgres:///x ${aesKey}`, { env }), failure);
    const [id = ''] = [...files.join(' ').matchAll(/\d{8}T\d{6}Z-[0-9a-f]{6}/g)].map(([found]) => found);
    assertFailure(await story.run(`delete ${id} --yes`, { env }), failure);
    assert.deepEqual(entriesBelow(story.storeFolder), files);
  });

  it('since it has macs and there is no key, fails what would destroy or change something before it does', async () => {
    const story = teller.story();
    const env = { LIBRELOG_BACKUP_AUDIT_KEY: 'env:AUDIT_KEY', AUDIT_KEY: 'ef'.repeat(32) };
    const { id } = await story.create('small', aesKey, { env });
    const { keyId } = await story.ask<{ keyId: string }>(`keys rotate aes-256 ${aesKey}`, { env });
    await story.create('small', aesKey, { env });
    const keys = readFileSync(join(story.folder, 'aes.key'), 'utf8');
    const [old = ''] = keys.match(/[0-9a-f]{16}(?=")/g)?.filter((found) => found !== keyId) ?? [];
    const files = [...entriesBelow(story.storeFolder), ...entriesBelow(story.folder)];
    for (const command of [
      `keys shred ${aesKey} --key-version ${old} --confirm ${old}`,
      `keys rotate aes-256 ${aesKey}`,
      'keys generate aes-256 --output new.key',
      'keys generate openpgp --name N --email n@example.org --output new',
      `delete ${id} --yes`,
    ]) {
      assertFailure(await story.run(command), { code: 3, message: /audit log is protected by a key/ });
    }
    assert.equal(readFileSync(join(story.folder, 'aes.key'), 'utf8'), keys);
    assert.deepEqual([...entriesBelow(story.storeFolder), ...entriesBelow(story.folder)], files);
  });

  it('is only warned of where that was asked for', async () => {
    const story = teller.story();
    story.write('occupied', '');
    const env = {
      LIBRELOG_BACKUP_AUDIT_FILE: join(story.folder, 'occupied', 'audit.jsonl'),
      LIBRELOG_BACKUP_AUDIT_ON_FAILURE: 'warn',
    };
    const run = await story.run(`create -d small ${aesKey}`, { env });
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stderr, /not audited: cannot write audit log/);
  });

  it('is none where none is wanted', async () => {
    const story = teller.story();
    const manifest = await story.create('small', `${aesKey} --audit-file none`);
    assert.equal(manifest.auditHead, undefined);
    assertNothingBelow(`${story.folder}.state`);
  });
});

describe('copies of the audit log', () => {
  it('are in the store, one object each, and are no backups', async () => {
    const story = teller.story();
    const env = { LIBRELOG_BACKUP_AUDIT_SINK: 'store' };
    await runOk(story, `create -d small ${aesKey}`, env);
    const copies = entriesBelow(join(story.storeFolder, '_audit')).filter((path) => path.endsWith('.jsonl'));
    const text = copies.toSorted().map((path) => readFileSync(path, 'utf8'));
    assert.equal(text.join(''), readFileSync(story.auditFile, 'utf8'));
    const listed = JSON.parse(await runOk(story, 'list --json')) as { backups: unknown[] };
    assert.equal(listed.backups.length, 1);
  });

  it('are asked of no command that opens no store, when nothing else would have them', async () => {
    const story = teller.story();
    const env = { LIBRELOG_BACKUP_AUDIT_SINK: 'store', LIBRELOG_BACKUP_AUDIT_FILE: 'none' };
    await runOk(story, `create -d small ${aesKey}`, env);
    const files = entriesBelow(story.folder);
    const message = /^audit log is to be in the store alone, and this command opens no store$/;
    for (const command of [
      `keys rotate aes-256 ${aesKey}`,
      'keys generate aes-256 --output new.key',
      `keys export ${aesKey} --output sheet`,
    ]) {
      assertFailure(await story.run(command, { env }), { code: 3, message });
      assert.deepEqual(entriesBelow(story.folder), files);
    }
    await runOk(story, 'keys generate aes-256 --output a.key', { LIBRELOG_BACKUP_AUDIT_SINK: 'store' });
    const warned = await story.run('keys generate aes-256 --output b.key --audit-on-failure warn', { env });
    assert.equal(warned.code, 0);
    assert.match(warned.stderr, /not audited: audit log is to be in the store alone/);
  });

  it('are on standard output, unless something else needs that', async () => {
    const story = teller.story();
    const env = { LIBRELOG_BACKUP_AUDIT_SINK: 'stdout' };
    const stdout = await runOk(story, `create -d small ${aesKey}`, env);
    assert.deepEqual(stdout.split('\n').slice(0, 3).join('\n'), readFileSync(story.auditFile, 'utf8').trimEnd());
    const toStdout = await story.run(`restore latest -o - ${aesKey}`, { env });
    assertFailure(toStdout, { code: 2, message: /standard output is taken/ });
    const json = await story.run(`create -d small ${aesKey} --json`, { env });
    assert.equal(json.code, 2);
    assert.match(json.stderr, /standard output is taken by JSON/);
  });
});
