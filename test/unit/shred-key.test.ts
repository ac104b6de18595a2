import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { shredKey } from '../../src/backup/shred-key.ts';
import { generateKeyFile } from '../../src/keys/generate-key-file.ts';
import { readKeyringFile, rotateKeyringFile } from '../../src/keys/keyring-file.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { quietContext } from '../support/quiet-context.ts';
import { idOf, makeSmallBackup } from '../support/small-backups.ts';

const folder = mkdtempSync(join(tmpdir(), 'librelog-shred-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('shredKey', () => {
  it('destroys nothing when a backup that needs the key has come while it was being confirmed', async () => {
    const context = quietContext();
    const store = new MemoryStore();
    const path = join(folder, 'backup.key');
    const now = new Date();
    const { keyId: old } = await generateKeyFile(path, { now });
    const { keyId: young } = await rotateKeyringFile(path, { now });
    const make = async (number: number, keyId: string): Promise<void> => {
      const encryption = { method: 'aes-256', keys: [`file:${path}@${keyId}`] } as const;
      await makeSmallBackup({ store, id: idOf(number), encryption }, context);
    };
    await make(1, old);
    await make(2, young);
    const request = { reference: `file:${path}`, version: old, stores: [store], force: true };
    const shredding = shredKey({ ...request, confirm: async () => await make(3, old) }, context);
    await assert.rejects(shredding, {
      kind: 'conflict',
      message: new RegExp(`^more backups would be lost than was confirmed: shop/${idOf(3)} in \\S+$`),
    });
    using keyring = (await readKeyringFile(path)).keyring;
    assert.deepEqual(
      keyring.keys.map(({ state }) => state),
      ['retired', 'active'],
    );
    const { lost } = await shredKey({ ...request, confirm: async () => {} }, context);
    assert.deepEqual(
      lost.map(({ id }) => id),
      [idOf(1), idOf(3)],
    );
  });
});
