import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ListedKey } from '../../src/backup/list-keys.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { assertFailure, assertNothingBelow, entriesBelow } from '../support/cli-assertions.ts';
import { CannedHttp } from '../support/canned-http.ts';
import { makeGatedTools } from '../support/gated-tools.ts';
import { listKeys, noStore, rotateKey } from '../support/key-commands.ts';
import { generatePair } from '../support/openpgp-pair.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;

before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small', { scale: 100 });
});
after(async () => await teller[Symbol.asyncDispose]());

async function activeKey(story: Story): Promise<string> {
  const active = (await listKeys(story, aesKey, noStore)).find(({ state }) => state === 'active');
  assert.ok(active?.keyId);
  return active.keyId;
}

function shred(keyId: string): string {
  return `keys shred ${aesKey} --key-version ${keyId} --confirm ${keyId}`;
}

describe('keys shred', () => {
  it('destroys an old key, and says first what is lost', async () => {
    const story = teller.story();
    const lost = await story.create('small');
    const [{ keyId }] = (await listKeys(story, aesKey)) as [ListedKey];
    await rotateKey(story);
    const kept = await story.create('small');
    const command = `keys shred ${aesKey} --key-version ${keyId ?? ''}`;
    const asked = await story.run(command);
    assert.equal(asked.code, 2);
    assert.match(asked.stderr, new RegExp(`1 backups will be lost for good:\\n  small/${lost.id} in file:`));
    assert.match(asked.stderr, /nobody is there to confirm/);
    const wrong = await story.run(`${command} --confirm yes`);
    assert.match(wrong.stderr, /not confirmed: nothing was done/);
    assert.equal((await story.run(`restore ${lost.id} --output a.dump ${aesKey}`)).code, 0);

    const { code, stderr } = await story.run(`${command} --confirm ${keyId ?? ''}`);
    assert.equal(code, 0, stderr);
    const gone = await story.run(`restore ${lost.id} --output b.dump ${aesKey}`);
    assertFailure(gone, {
      code: 30,
      message: new RegExp(`key ${keyId ?? ''} of keyring file:aes.key was destroyed at`),
    });
    assert.equal((await story.run(`restore ${kept.id} --output c.dump ${aesKey}`)).code, 0);
    const [destroyed] = await listKeys(story, aesKey);
    assert.deepEqual([destroyed?.keyId, destroyed?.state, destroyed?.onlyKeyOf], [keyId, 'destroyed', 1]);
    const again = await story.run(`${command} --confirm ${keyId ?? ''} --force`);
    assertFailure(again, { code: 30, message: /destroyed/ });
  });

  it('refuses the key of the last backup that can be opened, unless forced', async () => {
    const story = teller.story();
    await story.create('small');
    const [{ keyId }] = (await listKeys(story, aesKey)) as [ListedKey];
    await rotateKey(story);
    const command = `keys shred ${aesKey} --key-version ${keyId ?? ''} --confirm ${keyId ?? ''}`;
    assertFailure(await story.run(command), { code: 65, message: /opens the last backups of "small" in file:/ });
    const { code, stderr } = await story.run(`${command} --force`);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /no backup that restore opens will be left of "small"/);
  });

  it('counts no backup whose own key is destroyed already as one that is left', async () => {
    const story = teller.story();
    await story.create('small');
    const first = await activeKey(story);
    await rotateKey(story);
    await story.create('small');
    const second = await activeKey(story);
    await story.succeed(shred(first));
    await rotateKey(story);
    const refused = await story.run(shred(second));
    assertFailure(refused, { code: 65, message: /opens the last backups of "small" in file:/ });
    assert.deepEqual(
      (await listKeys(story, aesKey)).map(({ state }) => state),
      ['destroyed', 'retired', 'active'],
    );
    const { stderr } = await story.run(`${shred(second)} --force`);
    assert.match(stderr, /^1 backups will be lost for good:$/m);
  });

  it('calls a backup lost when the other key that opened it is destroyed already', async () => {
    const story = teller.story();
    const first = await activeKey(story);
    const both = await story.create('small');
    await rotateKey(story);
    await story.succeed(`keys rewrap ${aesKey} --to-key file:aes.key --add --yes`);
    const second = await activeKey(story);
    await rotateKey(story);
    await story.create('small');
    const spared = await story.run(shred(first));
    assert.equal(spared.code, 0, spared.stderr);
    assert.match(spared.stderr, /^0 backups will be lost for good$/m);
    const { code, stderr } = await story.run(shred(second));
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`^1 backups will be lost for good:\\n  small/${both.id} in file:`, 'm'));
  });

  it('counts no backup whose recipients are hidden as one that is left', async () => {
    const story = teller.story();
    const pair = await generatePair(story, 'hidden');
    await story.create('small', `--hidden-recipient ${pair.certificate}`);
    await story.create('small');
    const keyId = await activeKey(story);
    await rotateKey(story);
    assertFailure(await story.run(shred(keyId)), { code: 65, message: /opens the last backups of "small" in file:/ });
  });

  it('names the keys of earlier revisions that go on opening what is rewrapped', async () => {
    const story = teller.story();
    story.write('first.key', randomBytes(32));
    const rewrapped = await story.create('small', '--key file:first.key');
    const [{ keyId: first }] = (await listKeys(story, '--key file:first.key', noStore)) as [ListedKey];
    await story.succeed('keys rewrap --key file:first.key --to-key file:aes.key --yes');
    const second = await activeKey(story);
    await rotateKey(story);
    await story.create('small');
    const { code, stderr } = await story.run(shred(second));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^0 backups will be lost for good$/m);
    const line = `  small/${rewrapped.id} in file:\\S+: key ${first ?? ''} \\(by what it wrapped before a rewrap\\)`;
    assert.match(stderr, new RegExp(`^1 backups need their other keys from then on:\\n${line}$`, 'm'));
    const object = `decrypt ${story.objectPath(rewrapped)} --key file:first.key --output first.dump`;
    assert.equal((await story.run(object)).code, 0);
  });

  it('names the keys that open what the destroyed one had wrapped before a rewrap', async () => {
    const story = teller.story();
    story.write('next.key', randomBytes(32));
    const rewrapped = await story.create('small');
    const first = await activeKey(story);
    await story.succeed(`keys rewrap ${aesKey} --to-key file:next.key --yes`);
    const [{ keyId: next }] = (await listKeys(story, '--key file:next.key', noStore)) as [ListedKey];
    await rotateKey(story);
    const { code, stderr } = await story.run(shred(first));
    assert.equal(code, 0, stderr);
    const line = `  small/${rewrapped.id} in file:\\S+: key ${next ?? ''}`;
    assert.match(stderr, new RegExp(`^1 backups need their other keys from then on:\\n${line}$`, 'm'));
  });

  it('spares backups that another key opens', async () => {
    const story = teller.story();
    story.write('other.key', randomBytes(32));
    const backup = await story.create('small', `${aesKey} --key file:other.key`);
    const [{ keyId }] = (await listKeys(story, aesKey)) as [ListedKey];
    await rotateKey(story);
    const { code, stderr } = await story.run(
      `keys shred ${aesKey} --key-version ${keyId ?? ''} --confirm ${keyId ?? ''}`,
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /0 backups will be lost for good\n1 backups need their other keys/);
    assert.equal((await story.run(`restore ${backup.id} --output a.dump --key file:other.key`)).code, 0);
  });

  it('does not count backups that name no key, since their recipients are hidden', async () => {
    const story = teller.story();
    const pair = await generatePair(story, 'hidden');
    await story.create('small', `--hidden-recipient ${pair.certificate}`);
    const [{ keyId }] = (await listKeys(story, aesKey)) as [ListedKey];
    await rotateKey(story);
    const { code, stderr } = await story.run(
      `keys shred ${aesKey} --key-version ${keyId ?? ''} --confirm ${keyId ?? ''}`,
    );
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^0 backups will be lost for good$/m);
  });

  it('refuses the active key, one that is not there, and to work blindly', async () => {
    const story = teller.story();
    const keyId = await rotateKey(story);
    const confirmed = `--key-version ${keyId} --confirm ${keyId}`;
    assertFailure(await story.run(`keys shred ${aesKey} ${confirmed}`, { env: noStore }), {
      code: 2,
      message: /no store given/,
    });
    await story.create('small');
    const active = await story.run(`keys shred ${aesKey} ${confirmed} --force`);
    assert.equal(active.code, 50);
    assert.match(active.stderr, /is the active one/);
    const missing = await story.run(`keys shred ${aesKey} --key-version 0123456789abcdef --confirm 0123456789abcdef`);
    assertFailure(missing, { code: 30, message: /has no version "0123456789abcdef"$/ });
  });

  it('leaves nothing half-done where the key cannot be written', async () => {
    const story = teller.story();
    assertFailure(await story.run('keys rotate aes-256 --key file:missing.key'), {
      code: 30,
      message: /missing\.key/,
      hint: null,
    });
    assertNothingBelow(story.storeFolder);
  });
});

const secretText = randomBytes(32).toString('hex');
const vaultMount = { path: 'kv/', type: 'kv', options: { version: '2' } };

describe('keys shred while a backup is being made', () => {
  /** `create` of `small`, held before pg_dump starts, when it has begun an object in the store. */
  async function hold(story: Story, key: string, env: Readonly<Record<string, string>> = {}) {
    const tools = await makeGatedTools(teller.cluster);
    const gate = tools.addGate({ tool: 'pg_dump', hold: 'before' });
    const { ended } = story.start(`create -d small --key ${key} --pg-bin ${tools.folder} --jobs 1 --json`, { env });
    await gate.reached();
    const isBegun = () => entriesBelow(join(story.storeFolder, 'small')).some((path) => path.includes('archive.dump'));
    await waitUntil(isBegun, 'create has begun an object');
    return {
      finish: async () => {
        gate.open();
        const run = await ended;
        tools[Symbol.dispose]();
        return run;
      },
    };
  }

  it('leaves a backup that the new key opens, when the old one is destroyed before its end', async () => {
    const story = teller.story();
    const old = await activeKey(story);
    await story.create('small');
    const created = await hold(story, 'file:aes.key');
    const young = await rotateKey(story);
    await story.create('small', `--label other ${aesKey}`);
    const refused = await story.run(shred(old));
    const message = /backups are being made in file:\S+ that may need the key.*: small\//;
    assertFailure(refused, { code: 65, message });
    const shredded = await story.run(`${shred(old)} --force`);
    assert.equal(shredded.code, 0, shredded.stderr);
    const run = await created.finish();
    assert.equal(run.code, 0, run.stderr);
    const { backups } = JSON.parse(run.stdout) as { backups: [Manifest] };
    const [{ id, encryption }] = backups;
    assert.ok(encryption.method !== 'openpgp');
    assert.deepEqual(
      encryption.wrappedKeys.map((wrapped) => wrapped.provider === 'key' && wrapped.keyId),
      [young, old],
    );
    const restored = await story.run(`restore ${id} --output a.dump ${aesKey}`);
    assert.equal(restored.code, 0, restored.stderr);
  });

  it('fails the backup, of which nothing is left, when the only key that it may use is destroyed', async () => {
    const story = teller.story();
    const old = await activeKey(story);
    await rotateKey(story);
    await story.create('small', `--label other ${aesKey}`);
    const files = entriesBelow(story.storeFolder);
    const created = await hold(story, `file:aes.key@${old}`);
    const shredded = await story.run(`${shred(old)} --force`);
    assert.equal(shredded.code, 0, shredded.stderr);
    const run = await created.finish();
    assert.equal(run.code, 30, run.stderr);
    assert.match(run.stderr, new RegExp(`key ${old} of keyring file:aes\\.key@${old} was destroyed`));
    assert.deepEqual(entriesBelow(story.storeFolder), files);
  });

  it('is no reason to lose a backup when the service of its key does not answer any more at its end', async () => {
    const story = teller.story();
    let isExpired = false;
    await using vault = await CannedHttp.start(({ path }) => {
      if (isExpired) return { status: 403, body: JSON.stringify({ errors: ['permission denied'] }) };
      if (!path.startsWith('/v1/kv/')) return { status: 200, body: JSON.stringify({ data: vaultMount }) };
      const metadata = { version: 1, created_time: '2026-11-01T00:00:00Z', deletion_time: '', destroyed: false };
      return { status: 200, body: JSON.stringify({ data: { data: { key: secretText }, metadata } }) };
    });
    const env = { VAULT_ADDR: vault.endpoint, VAULT_TOKEN: 's.a-token-that-ends' };
    const created = await hold(story, 'vault:kv/backup#key', env);
    isExpired = true;
    const { code, stderr } = await created.finish();
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /warn: cannot look whether the key is still the one that it was when the backup began.*revoked/,
    );
    isExpired = false;
    const restored = await story.run('restore latest --output a.dump --key vault:kv/backup#key', { env });
    assert.equal(restored.code, 0, restored.stderr);
  });
});
