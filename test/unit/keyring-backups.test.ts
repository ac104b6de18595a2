import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { openKey } from '../../src/backup/open-key.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import { createDataKey } from '../../src/crypto/data-key.ts';
import { generateKeyFile } from '../../src/keys/generate-key-file.ts';
import { destroyKeyInFile, rotateKeyringFile } from '../../src/keys/keyring-file.ts';
import { quietContext } from '../support/quiet-context.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-keyring-'));
after(async () => await rm(folder, { recursive: true }));
const now = new Date('2026-11-24T12:00:00Z');
const dataKey = createDataKey();
const backup = { backupId: '20261124T120000Z-000000', label: 'small' };

async function wrap(reference: string): Promise<WrappedKey> {
  using key = await openKey(reference, quietContext());
  return await key.wrap(dataKey, backup);
}

async function opens(reference: string, wrapped: WrappedKey, env: NodeJS.ProcessEnv = {}): Promise<boolean> {
  using key = await openKey(reference, quietContext(env));
  using opened = await key.unwrap(wrapped, backup);
  return opened !== null && Buffer.from(opened.reveal()).equals(dataKey.reveal());
}

describe('a backup and its keyring', () => {
  it('is opened by the key that wrapped it, after any number of rotations, wherever the keyring is kept', async () => {
    const { path, keyId } = await generateKeyFile(join(folder, 'ring'), { now });
    const plain = await wrap(`file:${path}`);
    const one = await rotateKeyringFile(path, { now });
    const first = await wrap(`file:${path}`);
    await rotateKeyringFile(path, { now });
    const second = await wrap(`file:${path}`);
    assert.partialDeepStrictEqual(plain, { keyId });
    assert.equal('keyVersion' in plain, false);
    assert.partialDeepStrictEqual(first, { keyId: one.keyId, keyVersion: one.keyId });
    for (const wrapped of [plain, first, second]) {
      assert.ok(await opens(`file:${path}`, wrapped));
      assert.ok(await opens('env:RING', wrapped, { RING: await readFile(path, 'utf8') }));
    }
    assert.ok(await opens(`file:${path}@${one.keyId}`, first));
    assert.equal(await opens(`file:${path}@${one.keyId}`, second), false);
  });

  it('is lost with its key, whose name and end are told', async () => {
    const { path, keyId } = await generateKeyFile(join(folder, 'lost'), { now });
    const wrapped = await wrap(`file:${path}`);
    await rotateKeyringFile(path, { now });
    await destroyKeyInFile(path, keyId, { now });
    await assert.rejects(opens(`file:${path}`, wrapped), {
      kind: 'key',
      message: `key ${keyId} of keyring file:${path} was destroyed at ${now.toISOString()}`,
    });
  });
});
