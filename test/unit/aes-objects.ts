import { collect, streamOf } from '../../src/core/byte-stream.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { createAesDecrypter, createAesEncrypter, openAesObject } from '../../src/crypto/aes-container.ts';
import type { ObjectIdentity } from '../../src/crypto/cipher.ts';
import { createDataKey, unwrapDataKey, wrapDataKey } from '../../src/crypto/data-key.ts';
import { createRawKey } from '../../src/crypto/raw-key.ts';

const maxBytes = 64 * 1024 * 1024;

export const identity: ObjectIdentity = { backupId: '20261123T231405Z-7f3a9c', objectName: 'archive.dump.zst.aes' };
export const wrapContext = { backupId: identity.backupId, label: 'shop' };
export const keySecret = new Secret(Buffer.alloc(32, 0x11));
export const key = createRawKey({ secret: keySecret, keyId: 'key-one' });
export const dataKey = createDataKey();
export const wrappedKeys = await wrapDataKey(dataKey, { keys: [key] }, wrapContext);

export const encrypter = createAesEncrypter({ dataKey, wrappedKeys, compression: { method: 'none' }, label: 'shop' });
export const decrypter = createAesDecrypter({ dataKey });

/** The whole `.aes` object for a plaintext in the chunks given. */
export async function encryptBytes(...chunks: Uint8Array[]): Promise<Buffer> {
  return await collect(encrypter.encrypt(identity)(streamOf(...chunks)), maxBytes);
}

/** By the way of a restore: the data key and the object's identity are known from the manifest. */
export async function decryptBytes(object: ByteStream, wanted = identity): Promise<Buffer> {
  return await collect(decrypter.decrypt(wanted)(object), maxBytes);
}

/** By the way of `decrypt FILE`: only a key is known. */
export async function openBytes(object: ByteStream): Promise<Buffer> {
  const { plaintext } = await openAesObject(object, {
    name: 'file "x.aes"',
    unlock: async (wrappedKeys, context) => await unwrapDataKey(wrappedKeys, { keys: [key] }, context),
  });
  return await collect(plaintext, maxBytes);
}

/** Bytes in chunks of at most `chunkBytes`. */
export async function* inChunks(bytes: Uint8Array, chunkBytes: number): ByteStream {
  for (let start = 0; start < bytes.byteLength; start += chunkBytes) yield bytes.subarray(start, start + chunkBytes);
}
