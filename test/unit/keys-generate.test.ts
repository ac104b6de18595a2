import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { generateKeyFile } from '../../src/keys/generate-key-file.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-keys-'));
after(async () => await rm(folder, { recursive: true }));
const now = new Date('2026-11-23T23:14:05Z');

describe('generating a key file', () => {
  it('writes a key that only its owner may read and that reads back with the same id', async () => {
    const path = join(folder, 'new.key');
    const generated = await generateKeyFile(path, { now });
    const read = await readKeyEncryptionKey(`file:${path}`, { env: {} });
    assert.equal(generated.path, path);
    assert.equal(read.keyId, generated.keyId);
    assert.deepEqual(read.warnings, []);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.match(await readFile(path, 'utf8'), new RegExp(`key ${read.keyId}, made 2026-11-23T23:14:05\\.000Z\n`));
  });

  it('makes another key every time', async () => {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    assert.notEqual((await generateKeyFile(one, { now })).keyId, (await generateKeyFile(two, { now })).keyId);
  });

  it('never overwrites anything', async () => {
    const path = join(folder, 'precious');
    await writeFile(path, 'old key');
    await assert.rejects(generateKeyFile(path, { now }), { kind: 'conflict', message: /precious" exists already/ });
    assert.equal(await readFile(path, 'utf8'), 'old key');
  });

  it('fails with key and leaves nothing where it cannot write', async () => {
    const before = await readdir(folder);
    await assert.rejects(generateKeyFile(join(folder, 'no', 'such', 'folder'), { now }), {
      kind: 'key',
      message: /cannot write file ".*folder": ENOENT/,
    });
    assert.deepEqual(await readdir(folder), before);
  });
});
