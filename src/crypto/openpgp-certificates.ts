import type { Key, PartialConfig, PublicKey, enums } from 'openpgp';
import { BackupError, describeError } from '../core/backup-error.ts';
import { countKeys, keyBlocks } from './openpgp-key-blocks.ts';
import { fingerprintOf } from './openpgp-private-keys.ts';

/** An OpenPGP certificate: what others may know of a key. */
export interface Certificate {
  /** Of the primary key, upper-case hexadecimal. */
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  /** The file held the private key too: a backup host does not need it, and should not have it. */
  readonly hadPrivateKey: boolean;
  readonly key: PublicKey;
}

export interface ReadCertificatesOptions {
  /** File or reference the bytes came from, for messages. */
  readonly name: string;
  readonly now: Date;
  /**
   * `encryption` (default) refuses every certificate that could not be encrypted to now. `verification` takes them as
   * they are: a signature stays good after its key has expired.
   */
  readonly purpose?: 'encryption' | 'verification' | undefined;
}

/**
 * Every certificate in a file: armored or binary, one or several, a whole exported keyring. Of a private key the public
 * part is taken (see `hadPrivateKey`). All must be usable: a recipient that is silently dropped is a backup lost to them.
 * Fails with `key`: nothing or no key in it, a certificate that is revoked, expired, too weak (RSA below 2048 bits),
 * cannot encrypt, has no valid self-signature, or is not version 4.
 */
export async function readCertificates(
  bytes: Uint8Array,
  options: ReadCertificatesOptions,
): Promise<readonly Certificate[]> {
  const { name, now, purpose = 'encryption' } = options;
  if (bytes.byteLength === 0) throw new BackupError('key', `certificate file "${name}" is empty`, { hint: exportHint });
  const keys = await readKeys(bytes, name);
  if (purpose === 'encryption') for (const key of keys) await refuseUnusable(key, now, name);
  return keys.map((key) => toCertificate(key));
}

const exportHint = 'Give a file made by "gpg --export" or "keys generate".';

async function readKeys(bytes: Uint8Array, name: string): Promise<Key[]> {
  const keys: Key[] = [];
  let present = 0;
  try {
    const { readKeys } = await import('openpgp');
    for (const binaryKeys of await keyBlocks(bytes)) {
      present += await countKeys(binaryKeys, name);
      keys.push(...(await readKeys({ binaryKeys })));
    }
  } catch (error) {
    throw new BackupError('key', `certificate file "${name}" cannot be read: ${describeError(error)}`, {
      hint: exportHint,
      cause: error,
    });
  }
  if (keys.length === 0) {
    throw new BackupError('key', `certificate file "${name}" holds no OpenPGP key`, { hint: exportHint });
  }
  // openpgp.js leaves out keys of a version or algorithm that it does not know.
  if (keys.length < present) {
    throw new BackupError('key', `certificate file "${name}" holds ${present - keys.length} of an unknown kind`, {
      hint: 'Remove the keys that are too old or too new from the file.',
    });
  }
  return keys;
}

function toCertificate(key: Key): Certificate {
  return {
    fingerprint: fingerprintOf(key),
    userIds: key.getUserIDs(),
    hadPrivateKey: key.isPrivate(),
    key: key.toPublic(),
  };
}

async function refuseUnusable(key: Key, now: Date, name: string): Promise<void> {
  const reason = await findReason(key, now);
  if (reason === null) return;
  throw new BackupError('key', `certificate ${fingerprintOf(key)} in "${name}" ${reason}`, {
    hint: 'Renew, replace or remove this certificate.',
  });
}

/** Why nothing can be encrypted to `key` now, or `null`. */
async function findReason(key: Key, now: Date): Promise<string | null> {
  const { version } = key.keyPacket;
  if (version !== 4) return `is of version ${version}, which gpg 2.2 cannot use`;
  if (await key.isRevoked(undefined, undefined, now)) return 'is revoked';
  const expiry = await key.getExpirationTime();
  if (expiry === null) return 'has no valid self-signature';
  if (expiry instanceof Date && expiry <= now) return `expired on ${expiry.toISOString().slice(0, 10)}`;
  if (await canEncrypt(key, now)) return null;
  const weak = { minRSABits: 0, rejectPublicKeyAlgorithms: new Set<enums.publicKey>() };
  if (await canEncrypt(key, now, weak)) return 'is too weak (RSA below 2048 bits, or ElGamal)';
  if (await canEncrypt(key, null)) return 'has an encryption key that expired';
  return 'has no usable encryption key: it can only sign, or its subkey was revoked';
}

/** openpgp.js's own verdict; `at: null` leaves the dates out of it. */
async function canEncrypt(key: Key, at: Date | null, rules: PartialConfig = {}): Promise<boolean> {
  const { config } = await import('openpgp');
  try {
    await key.getEncryptionKey(undefined, at, undefined, { ...config, ...rules });
    return true;
  } catch {
    return false;
  }
}
