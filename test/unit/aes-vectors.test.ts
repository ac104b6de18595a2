import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import { openAesObject } from '../../src/crypto/aes-container.ts';
import { unwrapDataKey } from '../../src/crypto/data-key.ts';
import type { Unlockers } from '../../src/crypto/data-key.ts';
import { createRawKey } from '../../src/crypto/raw-key.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';
import { readPassphrase } from '../../src/keys/read-passphrase.ts';
import { readAesVectors, smallSqlSha256, vectorPath } from './aes-vectors.ts';
import type { AesVector } from './aes-vectors.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function readUnlocker(name: string): Promise<Unlockers> {
  const reference = `file:${vectorPath(name)}`;
  if (name.startsWith('passphrase')) return { passphrases: [(await readPassphrase(reference, { env: {} })).secret] };
  return { keys: [createRawKey(await readKeyEncryptionKey(reference, { env: {} }))] };
}

async function openVector(vector: AesVector, unlockerName: string): Promise<Buffer> {
  const unlockers = await readUnlocker(unlockerName);
  const { objectName, backupId } = vector;
  const { header, plaintext } = await openAesObject(streamOf(await readFile(vectorPath(objectName))), {
    name: objectName,
    identity: { objectName, backupId },
    unlock: async (wrappedKeys, context) => await unwrapDataKey(wrappedKeys, unlockers, context),
  });
  assert.deepEqual(header.compression, vector.compression);
  return await collect(plaintext, 8 * 1024 * 1024);
}

describe('frozen AES-256 objects of version 1', async () => {
  const vectors = await readAesVectors();

  it('are the files that were frozen', async () => {
    assert.equal(vectors.length, 3);
    for (const vector of vectors) assert.equal(sha256(await readFile(vectorPath(vector.objectName))), vector.sha256);
  });

  for (const vector of vectors) {
    for (const unlocker of vector.opensWith) {
      it(`still open: ${vector.objectName} with ${unlocker}`, async () => {
        const plaintext = await openVector(vector, unlocker);
        assert.equal(plaintext.byteLength, vector.plainBytes);
        assert.equal(sha256(plaintext), vector.plainSha256);
      });
    }
  }

  it('hold the SQL that was compressed', async () => {
    const vector = vectors.find(({ objectName }) => objectName === 'small.sql.zst.aes');
    assert.ok(vector);
    assert.equal(sha256(zstdDecompressSync(await openVector(vector, 'key.txt'))), smallSqlSha256);
  });
});
