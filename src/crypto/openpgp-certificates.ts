import type { Key, KeyID, PublicKey } from 'openpgp';
import { BackupError, describeError } from '../core/backup-error.ts';
import { chooseEncryptionKey } from './openpgp-certificate-checks.ts';
import { type KeyChoice, holdsChosen } from './openpgp-key-choice.ts';
import { countKeys, keyBlocks } from './openpgp-key-blocks.ts';
import { fingerprintOf } from './openpgp-private-keys.ts';

/** An OpenPGP certificate: what others may know of a key. */
export interface Certificate {
  /** Of the primary key, upper-case hexadecimal. */
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  /** When the key was made that encrypts, or the primary key where it was read for verification. */
  readonly createdAt: Date;
  /** The file held the private key too: a backup host does not need it, and should not have it. */
  readonly hadPrivateKey: boolean;
  readonly key: PublicKey;
  /** The one of its keys to encrypt to; `null` when it was read for verification. */
  readonly encryptionKeyId: KeyID | null;
}

export interface ReadCertificatesOptions {
  /** File or reference the bytes came from, for messages. */
  readonly name: string;
  readonly now: Date;
  /**
   * `encryption` (default) refuses every certificate that could not be encrypted to now. `verification` takes them as
   * they are, since a signature stays good after its key has expired: `verifyDetached` judges them by its date.
   */
  readonly purpose?: 'encryption' | 'verification' | undefined;
  /** Takes only the certificates that have one of these keys, which may be none, instead of all. */
  readonly choices?: readonly KeyChoice[] | undefined;
}

/**
 * Every certificate in a file: armored or binary, one or several, a whole exported keyring. Of a private key the public
 * part is taken (see `hadPrivateKey`). All must be usable: a recipient that is silently dropped is a backup lost to them.
 * Fails with `key`: nothing or no key in it, a certificate that is revoked, expired, too weak (RSA below 2048 bits, DSA,
 * ElGamal, a self-signature with SHA-1), cannot encrypt, has no valid self-signature, or is not version 4.
 */
export async function readCertificates(
  bytes: Uint8Array,
  options: ReadCertificatesOptions,
): Promise<readonly Certificate[]> {
  const { name, purpose = 'encryption', choices = [] } = options;
  if (bytes.byteLength === 0) throw new BackupError('key', `certificate file "${name}" is empty`, { hint: exportHint });
  const all = await readKeys(bytes, name);
  const keys = choices.length === 0 ? all : all.filter((key) => choices.some((choice) => holdsChosen(key, choice)));
  if (purpose === 'verification') return keys.map((key) => describe(key, null));
  const recipients: Certificate[] = [];
  for (const key of keys) recipients.push(await toRecipient(key, choices, options));
  return recipients;
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

function describe(key: Key, encryptionKeyId: KeyID | null): Certificate {
  const [used] = encryptionKeyId === null ? [] : key.getKeys(encryptionKeyId);
  return {
    fingerprint: fingerprintOf(key),
    userIds: key.getUserIDs(),
    createdAt: (used ?? key).getCreationTime(),
    hadPrivateKey: key.isPrivate(),
    key: key.toPublic(),
    encryptionKeyId,
  };
}

async function toRecipient(
  key: Key,
  choices: readonly KeyChoice[],
  { now, name }: ReadCertificatesOptions,
): Promise<Certificate> {
  const exact = choices.find((choice) => choice.isExact && holdsChosen(key, choice));
  const chosen = await chooseEncryptionKey(key, now, exact);
  if ('keyId' in chosen) return describe(key, chosen.keyId);
  const subject = exact === undefined ? '' : `key ${exact.id} of `;
  throw new BackupError('key', `${subject}certificate ${fingerprintOf(key)} in "${name}" ${chosen.reason}`, {
    hint: 'Renew, replace or remove this certificate.',
  });
}
