import { readFile } from 'node:fs/promises';
import { type ByteStream, collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import type { ObjectIdentity } from '../../src/crypto/cipher.ts';
import { type Certificate, readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { openOpenPgpDecrypter } from '../../src/crypto/openpgp-decrypter.ts';
import { openOpenPgpEncrypter } from '../../src/crypto/openpgp-encrypter.ts';

const folder = new URL('../vectors/openpgp/', import.meta.url);
const maxBytes = 64 * 1024 * 1024;

export const identity: ObjectIdentity = { backupId: '20261123T231405Z-7f3a9c', objectName: 'archive.dump.pgp' };

/** A frozen file; see `test/vectors/openpgp/README.md`. */
export async function readVector(name: string): Promise<Buffer> {
  return await readFile(new URL(name, folder));
}

export async function readSecretVector(name: string): Promise<Secret> {
  return new Secret(await readVector(name));
}

export async function readCertificateVector(name: string): Promise<readonly Certificate[]> {
  return await readCertificates(await readVector(name), { name, now: new Date() });
}

/** Passphrase of every frozen message that has one. */
export const passphrase = 'pässword';

export const decrypter = await openOpenPgpDecrypter({
  privateKeys: [await readSecretVector('ecc.key.asc'), await readSecretVector('locked.key.asc')],
  keyPassphrase: Secret.fromText('locked key'),
  passphrases: [Secret.fromText(passphrase)],
  stallTimeoutMs: 250,
});

/** Writes for the recipient `ecc` alone. */
export const encrypter = await openOpenPgpEncrypter({ recipients: await readCertificateVector('ecc.cert.asc') });

export async function encryptBytes(...chunks: Uint8Array[]): Promise<Buffer> {
  return await collect(encrypter.encrypt(identity)(streamOf(...chunks)), maxBytes);
}

export async function decryptBytes(message: Uint8Array | ByteStream, by = decrypter): Promise<Buffer> {
  const source = message instanceof Uint8Array ? streamOf(message) : message;
  return await collect(by.decrypt(identity)(source), maxBytes);
}

/** `bytes` in chunks of `chunkBytes`. */
export async function* chopped(bytes: Uint8Array, chunkBytes: number): ByteStream {
  for (let offset = 0; offset < bytes.byteLength; offset += chunkBytes) {
    yield bytes.subarray(offset, offset + chunkBytes);
  }
}
