import assert from 'node:assert/strict';
import { createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import { createAesDecrypter, createAesEncrypter, openAesObject } from '../../src/crypto/aes-container.ts';
import { ciphertextSize } from '../../src/crypto/aes-segments.ts';
import { createDataKey, unwrapDataKey } from '../../src/crypto/data-key.ts';
import {
  dataKey,
  decryptBytes,
  decrypter,
  encryptBytes,
  encrypter,
  identity,
  inChunks,
  key,
  openBytes,
  wrappedKeys,
} from './aes-objects.ts';

const mebibyte = 1024 * 1024;
const firstSegmentPlainBytes = mebibyte - 40 - 16;
const otherSegmentPlainBytes = mebibyte - 16;

/** The parts of an object, found as docs/format.md describes them. */
function dissect(object: Buffer): { json: Record<string, unknown>; maced: Buffer; mac: Buffer; payload: Buffer } {
  const end = 12 + object.readUInt32BE(8);
  return {
    json: JSON.parse(object.toString('utf8', 12, end)) as Record<string, unknown>,
    maced: object.subarray(0, end),
    mac: object.subarray(end, end + 32),
    payload: object.subarray(end + 32),
  };
}

/** An object whose header was edited by somebody without the key. */
function withHeader(object: Buffer, edit: (json: Record<string, unknown>) => unknown): Buffer {
  const { json, mac, payload } = dissect(object);
  const edited = Buffer.from(JSON.stringify(edit(json)));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(edited.byteLength);
  return Buffer.concat([object.subarray(0, 8), length, edited, mac, payload]);
}

/** The first half of the bytes, then a failure. */
async function* broken(bytes: Uint8Array): ByteStream {
  yield bytes.subarray(0, bytes.byteLength >> 1);
  throw new BackupError('storage', 'connection lost');
}

async function collectUntilError(stream: ByteStream): Promise<{ bytes: Buffer; error: unknown }> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error };
  }
  return { bytes: Buffer.concat(chunks), error: undefined };
}

describe('AES-256 container', () => {
  it('gives back what it was given, with the real segment size, at every segment boundary', async () => {
    const sizes = [0, 1, 1000, firstSegmentPlainBytes, firstSegmentPlainBytes + otherSegmentPlainBytes];
    for (const size of sizes.flatMap((size) => [size - 1, size, size + 1]).filter((size) => size >= 0)) {
      const plaintext = randomBytes(size);
      const object = await encryptBytes(plaintext);
      assert.deepEqual(await decryptBytes(inChunks(object, 65_536)), plaintext, `${size} bytes`);
      assert.equal(dissect(object).payload.byteLength, ciphertextSize(size, mebibyte), `size of ${size} bytes`);
    }
  });

  it('starts with magic, length, JSON header and MAC as documented', async () => {
    const { json, maced, mac } = dissect(await encryptBytes(Buffer.from('x')));
    const { salt, commitment, ...facts } = json;
    assert.equal(maced.toString('ascii', 0, 8), 'LRBKAES1');
    assert.deepEqual(facts, {
      suite: 'AES256_GCM_HKDF_1MB',
      segmentBytes: mebibyte,
      compression: { method: 'none' },
      ...identity,
      label: 'shop',
      wrappedKeys,
    });
    const saltBytes = Buffer.from(String(salt), 'base64');
    const derive = (label: string): Buffer =>
      Buffer.from(hkdfSync('sha256', dataKey.reveal(), saltBytes, `librelog-backup/v1/${label}`, 32));
    assert.equal(saltBytes.byteLength, 32);
    assert.equal(commitment, derive('commitment').toString('base64'));
    assert.deepEqual(mac, createHmac('sha256', derive('header-mac')).update(maced).digest());
  });

  it('describes itself for the manifest', () => {
    assert.equal(encrypter.extension, 'aes');
    assert.deepEqual(encrypter.description, { method: 'aes-256-gcm-hkdf-1mb', wrappedKeys });
  });

  it('never uses a salt twice, so equal plaintexts differ', async () => {
    const [one, two] = [await encryptBytes(Buffer.from('same')), await encryptBytes(Buffer.from('same'))];
    assert.notEqual(dissect(one).json['salt'], dissect(two).json['salt']);
    assert.notDeepEqual(dissect(one).payload.subarray(1, 40), dissect(two).payload.subarray(1, 40));
  });

  it('opens an object on its own, by the keys in its header', async () => {
    assert.equal((await openBytes(streamOf(await encryptBytes(Buffer.from('alone'))))).toString(), 'alone');
  });

  it('tells the header of an object that it opened', async () => {
    const opened = await openAesObject(streamOf(await encryptBytes(Buffer.from('x'))), {
      name: 'file "x.aes"',
      identity,
      unlock: async (wrapped, context) => await unwrapDataKey(wrapped, { keys: [key] }, context),
    });
    assert.equal(opened.header.objectName, identity.objectName);
    assert.equal((await collect(opened.plaintext, 10)).toString(), 'x');
  });

  it('fails with key when nothing at hand opens it, and closes the source', async () => {
    let isClosed = false;
    const object = await encryptBytes(Buffer.from('x'));
    async function* source(): ByteStream {
      try {
        yield object;
      } finally {
        isClosed = true;
      }
    }
    const withNothing = openAesObject(source(), {
      name: 'file "x.aes"',
      unlock: async (wrapped, context) => await unwrapDataKey(wrapped, {}, context),
    });
    await assert.rejects(withNothing, { kind: 'key' });
    assert.ok(isClosed);
  });

  it('closes the source when the reader stops early', async () => {
    let isClosed = false;
    const object = await encryptBytes(randomBytes(3 * mebibyte));
    async function* source(): ByteStream {
      try {
        yield* inChunks(object, 100_000);
      } finally {
        isClosed = true;
      }
    }
    for await (const chunk of decrypter.decrypt(identity)(source())) {
      assert.ok(chunk.byteLength > 0);
      break;
    }
    assert.ok(isClosed);
  });

  it('passes the error of its source on, and ends nothing', async () => {
    const object = await encryptBytes(randomBytes(mebibyte));
    await assert.rejects(decryptBytes(broken(object)), { kind: 'storage', message: 'connection lost' });
    await assert.rejects(collect(encrypter.encrypt(identity)(broken(object)), 9e9), { kind: 'storage' });
  });
});

describe('AES-256 container under attack', () => {
  it('releases only bytes that were authenticated', async () => {
    const plaintext = randomBytes(2 * mebibyte + 1000);
    const object = await encryptBytes(plaintext);
    const changed = Buffer.from(object);
    const lastByteOfSecondSegment = object.byteLength - dissect(object).payload.byteLength + 2 * mebibyte - 1;
    changed[lastByteOfSecondSegment] = (changed[lastByteOfSecondSegment] ?? 0) ^ 1;
    const { bytes, error } = await collectUntilError(decrypter.decrypt(identity)(inChunks(changed, 65_536)));
    assert.ok(error instanceof BackupError && error.kind === 'integrity');
    assert.match(error.message, /object "archive\.dump\.zst\.aes" is not what was written: segment 1 /);
    assert.deepEqual(bytes, plaintext.subarray(0, firstSegmentPlainBytes));
  });

  it('refuses an object cut exactly between two segments', async () => {
    const object = await encryptBytes(randomBytes(2 * mebibyte));
    const payloadStart = object.byteLength - dissect(object).payload.byteLength;
    for (const segments of [1, 2]) {
      const cut = object.subarray(0, payloadStart + segments * mebibyte);
      await assert.rejects(decryptBytes(streamOf(cut)), { kind: 'integrity', message: /last segment .* cut/ });
    }
  });

  it('refuses segments that changed places, are repeated or left out', async () => {
    const object = await encryptBytes(randomBytes(3 * mebibyte));
    const start = object.byteLength - dissect(object).payload.byteLength;
    const head = object.subarray(0, start + mebibyte);
    const [one, two, rest] = [1, 2, 3].map((n) =>
      object.subarray(start + n * mebibyte, n === 3 ? undefined : start + (n + 1) * mebibyte),
    ) as [Buffer, Buffer, Buffer];
    const arrangements = { swapped: [two, one, rest], repeated: [one, one, two, rest], missing: [one, rest] };
    assert.equal((await decryptBytes(streamOf(head, one, two, rest))).byteLength, 3 * mebibyte);
    for (const [name, segments] of Object.entries(arrangements)) {
      await assert.rejects(decryptBytes(streamOf(head, ...segments)), { kind: 'integrity' }, name);
    }
  });

  it('refuses another object under this name, and says so', async () => {
    const other = { ...identity, objectName: 'data-001.dump.zst.aes' };
    const object = await collect(encrypter.encrypt(other)(streamOf('x')), 10_000);
    await assert.rejects(decryptBytes(streamOf(object)), {
      kind: 'integrity',
      message: /"archive\.dump\.zst\.aes" .* was swapped: it holds object "data-001\.dump\.zst\.aes"/,
    });
    const otherBackup = { ...identity, backupId: '20260101T000000Z-000000' };
    await assert.rejects(decryptBytes(streamOf(await encryptBytes(Buffer.from('x'))), otherBackup), {
      kind: 'integrity',
      message: /was swapped: .* of backup 20261123T231405Z-7f3a9c/,
    });
  });

  it('refuses the payload of another object behind its own header', async () => {
    const [one, two] = [await encryptBytes(Buffer.from('one')), await encryptBytes(Buffer.from('two'))];
    const { maced, mac } = dissect(one);
    await assert.rejects(decryptBytes(streamOf(maced, mac, dissect(two).payload)), { kind: 'integrity' });
  });

  it('refuses an object under another data key', async () => {
    const wrongKey = createAesDecrypter({ dataKey: createDataKey() });
    const object = await encryptBytes(Buffer.from('x'));
    await assert.rejects(collect(wrongKey.decrypt(identity)(streamOf(object)), 100), {
      kind: 'integrity',
      message: /another data key/,
    });
  });

  it('refuses a header that promises to be huge before it reads it', async () => {
    const start = Buffer.from('LRBKAES1\xff\xff\xff\xff', 'latin1');
    await assert.rejects(decryptBytes(streamOf(start)), { kind: 'integrity', message: /header: 4294967295 bytes/ });
  });

  it('refuses every edited header field', async () => {
    const object = await encryptBytes(Buffer.from('x'));
    const edits: Record<string, (json: Record<string, unknown>) => unknown> = {
      'another compression': (json) => ({ ...json, compression: { method: 'gzip', level: 6 } }),
      'another salt': (json) => ({ ...json, salt: randomBytes(32).toString('base64') }),
      'short salt': (json) => ({ ...json, salt: randomBytes(16).toString('base64') }),
      'another segment size': (json) => ({ ...json, segmentBytes: 4096 }),
      'unknown field': (json) => ({ ...json, extra: true }),
      'unknown suite': (json) => ({ ...json, suite: 'AES128_GCM_HKDF_1MB' }),
      'missing field': ({ commitment: _commitment, ...json }) => json,
      'no wrapped keys': (json) => ({ ...json, wrappedKeys: [] }),
      'too many wrapped keys': (json) => ({ ...json, wrappedKeys: Array.from({ length: 17 }, () => wrappedKeys[0]) }),
      'added wrapped key': (json) => ({ ...json, wrappedKeys: [...wrappedKeys, ...wrappedKeys] }),
      'not an object': () => [],
      'a name with control characters': (json) => ({ ...json, objectName: 'a\u001b[2J' }),
    };
    for (const [name, edit] of Object.entries(edits)) {
      await assert.rejects(decryptBytes(streamOf(withHeader(object, edit))), { kind: 'integrity' }, name);
    }
  });

  it('names what is not its own', async () => {
    const cases: [string, RegExp][] = [
      ['PGDMP is a dump, not an object', /is not an AES-256 object/],
      ['LRBKAES2 and more than twelve', /unknown container version/],
      ['LRBK', /is cut/],
      ['', /is cut/],
    ];
    for (const [text, message] of cases) {
      await assert.rejects(decryptBytes(streamOf(text)), { kind: 'integrity', message });
    }
  });

  it('does not write objects that nobody could open', async () => {
    const compression = { method: 'none' } as const;
    const [wrapped] = wrappedKeys;
    assert.ok(wrapped);
    for (const wrappedKeys of [[], Array.from({ length: 17 }, () => wrapped)]) {
      assert.throws(() => createAesEncrypter({ dataKey, wrappedKeys, compression, label: 'shop' }), { kind: 'config' });
    }
    const badName = { ...identity, objectName: '../x' };
    await assert.rejects(collect(encrypter.encrypt(badName)(streamOf('x')), 10_000), { kind: 'bug' });
  });
});
