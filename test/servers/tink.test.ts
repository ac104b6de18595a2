import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { Secret } from '../../src/core/secret.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import { unwrapDataKey } from '../../src/crypto/data-key.ts';
import { createRawKey } from '../../src/crypto/raw-key.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';
import { dataKey, decryptBytes, encryptBytes, identity, wrapContext } from '../unit/aes-objects.ts';
import { readAesVectors, vectorPath } from '../unit/aes-vectors.ts';

// `tink.sh install` prints what belongs into this variable.
const python = process.env['LIBRELOG_TEST_PYTHON'] ?? 'python3';
const script = fileURLToPath(new URL('tink_open.py', import.meta.url));

/** What Tink needs, taken from an object and its data key by docs/format.md alone. */
interface Payload {
  readonly head: Buffer;
  readonly payload: Buffer;
  readonly key: string;
  readonly associatedData: string;
}

function toPayload(object: Buffer, dataKey: Secret): Payload {
  const headerEnd = 12 + object.readUInt32BE(8);
  const header = JSON.parse(object.toString('utf8', 12, headerEnd)) as Record<string, string>;
  const salt = Buffer.from(header['salt'] ?? '', 'base64');
  const key = hkdfSync('sha256', dataKey.reveal(), salt, 'librelog-backup/v1/payload', 32);
  return {
    head: object.subarray(0, headerEnd + 32),
    payload: object.subarray(headerEnd + 32),
    key: Buffer.from(key).toString('hex'),
    associatedData: `librelog-backup/v1/${header['backupId']}/${header['objectName']}`,
  };
}

function runTink(command: 'open' | 'seal', { key, associatedData }: Payload, input: Uint8Array): Buffer {
  const run = spawnSync(python, [script, command, key, associatedData], { input, maxBuffer: 1e9 });
  // It refuses without reading all of its input, which is EPIPE for us: its own words count.
  if (run.status !== 0) throw new Error(`tink ${command}: ${String(run.stderr)}`, { cause: run.error });
  return run.stdout;
}

const mebibyte = 1024 * 1024;
const sizes = [0, 1, mebibyte - 56, mebibyte - 55, 2 * mebibyte - 72, 2 * mebibyte - 71, 3_000_000];

describe('Tink', () => {
  for (const size of sizes) {
    it(`opens our payload of ${size} bytes`, async () => {
      const plaintext = randomBytes(size);
      const ours = toPayload(await encryptBytes(plaintext), dataKey);
      assert.deepEqual(runTink('open', ours, ours.payload), plaintext);
    });

    it(`writes a payload of ${size} bytes that we open`, async () => {
      const plaintext = randomBytes(size);
      const ours = toPayload(await encryptBytes(Buffer.alloc(0)), dataKey);
      const theirs = runTink('seal', ours, plaintext);
      assert.deepEqual(await decryptBytes(streamOf(ours.head, theirs)), plaintext);
    });
  }

  it('refuses our payload under another name, cut or changed, as we do', async () => {
    const ours = toPayload(await encryptBytes(randomBytes(2 * mebibyte)), dataKey);
    const changed = Buffer.from(ours.payload);
    changed[100] = (changed[100] ?? 0) ^ 1;
    const otherName = { ...ours, associatedData: `librelog-backup/v1/${identity.backupId}/other` };
    assert.throws(() => runTink('open', otherName, ours.payload), /tink open: [^]*TinkError/);
    assert.throws(() => runTink('open', ours, ours.payload.subarray(0, mebibyte)), /tink open: [^]*TinkError/);
    assert.throws(() => runTink('open', ours, changed), /tink open: [^]*TinkError/);
  });

  it('opens the frozen objects', async () => {
    const second = createRawKey(await readKeyEncryptionKey(`file:${vectorPath('second-key.txt')}`, { env: {} }));
    const vectors = (await readAesVectors()).filter((vector) => vector.opensWith.includes('second-key.txt'));
    assert.equal(vectors.length, 2);
    for (const vector of vectors) {
      const object = await readFile(vectorPath(vector.objectName));
      const header = JSON.parse(object.toString('utf8', 12, 12 + object.readUInt32BE(8))) as {
        wrappedKeys: WrappedKey[];
      };
      const payload = toPayload(object, await unwrapDataKey(header.wrappedKeys, { keys: [second] }, wrapContext));
      const plaintext = runTink('open', payload, payload.payload);
      assert.equal(createHash('sha256').update(plaintext).digest('hex'), vector.plainSha256);
    }
  });
});
