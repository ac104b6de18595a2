import type { Key, KeyID, PartialConfig, SignaturePacket, Subkey, enums } from 'openpgp';
import { type KeyChoice, isChosen } from './openpgp-key-choice.ts';

type AnyKey = Pick<Key | Subkey, 'keyPacket' | 'getAlgorithmInfo'>;

/** openpgp.js takes `null` as "at any time", which its types leave out. */
const anyTime = null as unknown as Date;

/** Either the key that encrypts for a certificate, or why there is none, as the rest of a sentence. */
export type EncryptionKey = { readonly keyId: KeyID } | { readonly reason: string };

/**
 * The key of a certificate to encrypt to, as gpg chooses it: the newest subkey that may encrypt and is neither revoked nor
 * expired - nor too weak -, else the primary key. Where `choice` ends in `!` it is that key or none.
 */
export async function chooseEncryptionKey(
  key: Key,
  now: Date,
  choice: KeyChoice | null = null,
): Promise<EncryptionKey> {
  const reason = await findFaultOfPrimary(key, now);
  if (reason !== null) return { reason };
  const newestFirst = key.subkeys.toSorted((a, b) => b.getCreationTime().getTime() - a.getCreationTime().getTime());
  const candidates = [...newestFirst, key].filter((one) => choice?.isExact !== true || isChosen(one, choice));
  for (const candidate of candidates) {
    if (await canEncrypt(key, candidate, now)) return { keyId: candidate.getKeyID() };
  }
  return { reason: await explainNone(key, candidates, now) };
}

async function findFaultOfPrimary(key: Key, now: Date): Promise<string | null> {
  const { version } = key.keyPacket;
  if (version !== 4) return `is of version ${version}, which gpg 2.2 cannot use`;
  if (await key.isRevoked(undefined, undefined, now)) return 'is revoked';
  const expiry = await key.getExpirationTime();
  if (expiry === null) return 'has no valid self-signature';
  if (expiry instanceof Date && expiry <= now) return `expired on ${day(expiry)}`;
  return await findWeakness(key);
}

/**
 * Why nothing that `keyId` of this certificate signed at `signedAt` can be trusted, or `null`. As RFC 4880 5.2.3.23 says,
 * a key that was only retired or superseded vouches for what it signed before; any other revocation counts from ever.
 */
export async function findFaultOfSigner(key: Key, keyId: KeyID, signedAt: Date): Promise<string | null> {
  if (await key.isRevoked(undefined, undefined, signedAt)) return 'is revoked';
  const weakness = await findWeakness(key);
  if (weakness !== null) return weakness;
  const expiry = await key.getExpirationTime();
  if (expiry instanceof Date && expiry <= signedAt) return `had expired on ${day(expiry)}, before it signed`;
  const [subkey] = key.getSubkeys(keyId);
  if (subkey === undefined) return null;
  const binding = newest(subkey.bindingSignatures);
  if (binding && (await subkey.isRevoked(binding, key.keyPacket, signedAt)))
    return 'has revoked the subkey that signed';
  return weaknessOf(subkey) ?? weaknessOfSignature(binding);
}

/** Of the primary key and of what it says of itself. */
async function findWeakness(key: Key): Promise<string | null> {
  const weakness = weaknessOf(key);
  if (weakness !== null) return weakness;
  const user = await key.getPrimaryUser(anyTime).catch(() => null);
  return user === null ? 'has no valid self-signature' : weaknessOfSignature(user.selfCertification);
}

const leastRsaBits = 2048;

function weaknessOf(key: AnyKey): string | null {
  const { algorithm, bits = Infinity } = key.getAlgorithmInfo();
  if (algorithm.startsWith('rsa')) return bits < leastRsaBits ? 'is too weak (RSA below 2048 bits)' : null;
  if (algorithm === 'dsa') return 'is too weak (DSA)';
  return algorithm === 'elgamal' ? 'is too weak (ElGamal)' : null;
}

/** By the numbers of RFC 4880 9.4. Who can make collisions can make such a signature stand for another key. */
const weakHashes: ReadonlyMap<number | null | undefined, string> = new Map([
  [1, 'MD5'],
  [2, 'SHA-1'],
  [3, 'RIPEMD-160'],
]);

function weaknessOfSignature(signature: SignaturePacket | undefined): string | null {
  const hash = weakHashes.get(signature?.hashAlgorithm);
  return hash === undefined ? null : `is too weak (its self-signature uses ${hash})`;
}

function newest(signatures: readonly SignaturePacket[]): SignaturePacket | undefined {
  return signatures.toSorted((a, b) => Number(b.created) - Number(a.created))[0];
}

async function canEncrypt(key: Key, candidate: Key | Subkey, now: Date): Promise<boolean> {
  return (await isEncryptionKey(key, candidate, { at: now })) && (await weaknessOfBinding(candidate, now)) === null;
}

/** Of the signature by which the primary key made a subkey its own. */
async function weaknessOfBinding(candidate: Key | Subkey, now: Date): Promise<string | null> {
  return 'bindingSignatures' in candidate ? weaknessOfSignature(await candidate.verify(now)) : null;
}

/** openpgp.js's own verdict on one key of a certificate; `at: null` leaves the dates out of it. */
async function isEncryptionKey(
  key: Key,
  candidate: Key | Subkey,
  { at, rules = {} }: { readonly at: Date | null; readonly rules?: PartialConfig },
): Promise<boolean> {
  const { config } = await import('openpgp');
  try {
    await key.getEncryptionKey(candidate.getKeyID(), at, undefined, { ...config, ...rules });
    return true;
  } catch {
    return false;
  }
}

async function explainNone(key: Key, candidates: readonly (Key | Subkey)[], now: Date): Promise<string> {
  const rules = { minRSABits: 0, rejectPublicKeyAlgorithms: new Set<enums.publicKey>() };
  for (const candidate of candidates) {
    if (!(await isEncryptionKey(key, candidate, { at: now, rules }))) continue;
    return weaknessOf(candidate) ?? (await weaknessOfBinding(candidate, now)) ?? 'is too weak';
  }
  for (const candidate of candidates) {
    if (await isEncryptionKey(key, candidate, { at: null })) return 'has an encryption key that expired';
  }
  return 'has no usable encryption key: it can only sign, or its subkey was revoked';
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
