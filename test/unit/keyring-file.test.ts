import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { generateKeyFile } from '../../src/keys/generate-key-file.ts';
import {
  destroyKeyInFile,
  readKeyringFile,
  rotateKeyringFile,
  updateKeyringFile,
} from '../../src/keys/keyring-file.ts';
import { findActiveKey } from '../../src/keys/keyring.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';

const root = await mkdtemp(join(tmpdir(), 'librelog-keyring-'));
after(async () => await rm(root, { recursive: true }));
const now = new Date('2026-11-24T12:00:00Z');
const support = join(import.meta.dirname, '..', 'support');
const rotator = join(support, 'keyring-rotator.ts');

let folders = 0;

/** A fresh folder with a key file of `keys generate` in it. */
async function makeKeyFile(): Promise<{ folder: string; path: string; keyId: string }> {
  folders += 1;
  const folder = await mkdtemp(join(root, `${folders}-`));
  const { path, keyId } = await generateKeyFile(join(folder, 'ring'), { now });
  return { folder, path, keyId };
}

async function readIds(path: string): Promise<string[]> {
  using keyring = (await readKeyringFile(path)).keyring;
  return keyring.keys.map(({ id }) => id);
}

describe('rotating a keyring file', () => {
  it('turns a plain key file into a keyring that has the old key for reading', async () => {
    const { folder, path, keyId } = await makeKeyFile();
    const rotated = await rotateKeyringFile(path, { now: new Date('2026-12-01T00:00:00Z') });
    assert.deepEqual(rotated, { path, keyId: rotated.keyId, retiredKeyId: keyId });
    assert.equal((await readKeyEncryptionKey(`file:${path}`, { env: {} })).keyId, rotated.keyId);
    assert.equal((await readKeyEncryptionKey(`file:${path}@${keyId}`, { env: {} })).keyId, keyId);
    const document = JSON.parse(await readFile(path, 'utf8')) as { keys: object[] };
    assert.partialDeepStrictEqual(document.keys, [
      { id: keyId, createdAt: now.toISOString(), state: 'retired', retiredAt: '2026-12-01T00:00:00.000Z' },
      { id: rotated.keyId, createdAt: '2026-12-01T00:00:00.000Z', state: 'active' },
    ]);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual((await readdir(folder)).toSorted(), ['ring', 'ring.lock']);
  });

  it('goes on from there', async () => {
    const { path, keyId } = await makeKeyFile();
    const one = await rotateKeyringFile(path, { now });
    const two = await rotateKeyringFile(path, { now });
    assert.equal(two.retiredKeyId, one.keyId);
    assert.deepEqual(await readIds(path), [keyId, one.keyId, two.keyId]);
  });

  it('follows a link and leaves it one', async () => {
    const { folder, path } = await makeKeyFile();
    await symlink('ring', join(folder, 'link'));
    const { keyId } = await rotateKeyringFile(join(folder, 'link'), { now });
    assert.equal((await readIds(path)).at(-1), keyId);
    assert.deepEqual((await readdir(folder)).toSorted(), ['link', 'ring', 'ring.lock']);
  });

  it('removes what a killed rotation has left, since it holds keys', async () => {
    const { folder, path } = await makeKeyFile();
    await writeFile(join(folder, '.ring.partial'), 'half a keyring');
    await rotateKeyringFile(path, { now });
    assert.deepEqual((await readdir(folder)).toSorted(), ['ring', 'ring.lock']);
  });

  it('refuses a file that is open to others, and one that is none', async () => {
    const { folder, path } = await makeKeyFile();
    const before = await readFile(path, 'utf8');
    for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o777]) {
      await chmod(path, mode);
      await assert.rejects(rotateKeyringFile(path, { now }), {
        kind: 'key',
        message: new RegExp(`ring" is open to other users \\(mode 0${mode.toString(8)}\\)`),
      });
    }
    await assert.rejects(rotateKeyringFile(join(folder, 'none'), { now }), {
      kind: 'key',
      message: /there is no such file/,
    });
    await assert.rejects(rotateKeyringFile(folder, { now }), { kind: 'key', message: /is not a regular file/ });
    assert.equal(await readFile(path, 'utf8'), before);
    assert.deepEqual(await readdir(folder), ['ring']);
  });

  it('warns on reading as for every secret file', async () => {
    const { path } = await makeKeyFile();
    await chmod(path, 0o644);
    assert.match((await readKeyringFile(path)).warnings.join(), /can be read by other users \(mode 0644\)/);
  });

  it('leaves a file alone that is no key', async () => {
    const { folder } = await makeKeyFile();
    const path = join(folder, 'notes');
    await writeFile(path, 'buy milk\n', { mode: 0o600 });
    await assert.rejects(rotateKeyringFile(path, { now }), {
      kind: 'key',
      message: /notes holds text that is neither/,
    });
    assert.equal(await readFile(path, 'utf8'), 'buy milk\n');
  });

  it('leaves the file as it was when the change is refused', async () => {
    const { folder, path } = await makeKeyFile();
    const before = await readFile(path, 'utf8');
    const refuse = () => {
      throw new Error('no');
    };
    await assert.rejects(updateKeyringFile(path, refuse), /no/);
    assert.equal(await readFile(path, 'utf8'), before);
    assert.ok(!(await readdir(folder)).includes('.ring.partial'));
  });

  it('keeps the owner', { skip: process.getuid?.() !== 0 && 'only root can give a file away' }, async () => {
    const { path } = await makeKeyFile();
    await chown(path, 65_534, 65_533);
    await rotateKeyringFile(path, { now });
    for (const name of [path, `${path}.lock`]) {
      const { uid, gid } = await stat(name);
      assert.deepEqual([uid, gid], [65_534, 65_533], name);
    }
  });
});

describe('destroying a key in a keyring file', () => {
  it('leaves its id and nothing of its material', async () => {
    const { path, keyId } = await makeKeyFile();
    const material = Buffer.from((await readKeyEncryptionKey(`file:${path}`, { env: {} })).secret.reveal());
    await rotateKeyringFile(path, { now });
    assert.ok((await readFile(path, 'utf8')).includes(material.toString('base64')));
    await destroyKeyInFile(path, keyId, { now });
    assert.ok(!(await readFile(path, 'utf8')).includes(material.toString('base64')));
    await assert.rejects(readKeyEncryptionKey(`file:${path}@${keyId}`, { env: {} }), {
      kind: 'key',
      message: /was destroyed/,
    });
  });

  it('refuses the active key', async () => {
    const { path, keyId } = await makeKeyFile();
    await assert.rejects(destroyKeyInFile(path, keyId, { now }), { kind: 'conflict', message: /is the active one/ });
    assert.deepEqual(await readIds(path), [keyId]);
  });
});

/** Another process that rotates; `ids` are the keys whose rotation it has reported. */
function startRotator(path: string, count: number) {
  const child = spawn(process.execPath, [rotator, path, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ids: string[] = [];
  const lines = createInterface(child.stdout).on('line', (line) => line !== 'ready' && ids.push(line));
  const exit = once(child, 'exit');
  const ended = once(lines, 'close').then(async () => await exit);
  return { child, ids, ready: once(lines, 'line'), ended };
}

describe('several processes', () => {
  it('rotate at once without losing a key', async () => {
    const { folder, path, keyId } = await makeKeyFile();
    const rotators = [1, 2, 3].map(() => startRotator(path, 8));
    const ours = await Promise.all([1, 2, 3].map(async () => (await rotateKeyringFile(path, { now })).keyId));
    for (const { ended } of rotators) assert.deepEqual(await ended, [0, null]);
    const made = [keyId, ...ours, ...rotators.flatMap(({ ids }) => ids)];
    assert.equal(new Set(made).size, 1 + 3 + 24);
    assert.deepEqual((await readIds(path)).toSorted(), made.toSorted());
    assert.deepEqual((await readdir(folder)).toSorted(), ['ring', 'ring.lock']);
  });

  it('may be killed at every step of a rotation: the keyring is the old one or the new one, whole', async () => {
    const outcomes = { old: 0, new: 0 };
    for (let step = 1; ; step += 1) {
      const { folder, path, keyId } = await makeKeyFile();
      const before = await readFile(path, 'utf8');
      const child = spawn(process.execPath, ['--import', join(support, 'die-at-step.ts'), rotator, path, '1'], {
        env: { ...process.env, DIE_AT: String(step) },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      const ids = await readIds(path);
      assert.equal(ids[0], keyId);
      if (signal === null) {
        assert.deepEqual([code, ids.length], [0, 2]);
        assert.ok(step > 8, `${step} steps`);
        break;
      }
      assert.equal(signal, 'SIGKILL');
      if (ids.length === 1) assert.equal(await readFile(path, 'utf8'), before, `step ${step}`);
      outcomes[ids.length === 1 ? 'old' : 'new'] += 1;
      await rotateKeyringFile(path, { now });
      assert.deepEqual((await readdir(folder)).toSorted(), ['ring', 'ring.lock']);
    }
    assert.ok(outcomes.old > 0 && outcomes.new > 0, JSON.stringify(outcomes));
  });

  it('may be killed at any moment: the keyring is whole, has every key reported, and can be rotated', async () => {
    const { path } = await makeKeyFile();
    let before = await readIds(path);
    for (let kill = 0; kill < 12; kill += 1) {
      const { child, ids, ready, ended } = startRotator(path, 1_000_000);
      await ready;
      await sleep(5 + kill * 3 + Math.random() * 5);
      child.kill('SIGKILL');
      assert.deepEqual(await ended, [null, 'SIGKILL']);
      const after = await readIds(path);
      const added = after.slice(before.length);
      assert.deepEqual(after.slice(0, before.length), before);
      // The last one may have reached the disk without being reported.
      assert.ok(added.length - ids.length <= 1, `${added.length} keys for ${ids.length} reports`);
      assert.deepEqual(added.slice(0, ids.length), ids);
      const { keyId, retiredKeyId } = await rotateKeyringFile(path, { now });
      assert.equal(retiredKeyId, after.at(-1));
      before = [...after, keyId];
      using keyring = (await readKeyringFile(path)).keyring;
      assert.equal(findActiveKey(keyring).id, keyId);
    }
  });
});
