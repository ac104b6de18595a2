import { randomBytes } from 'node:crypto';
import { BackupError, describeError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { Secret } from '../core/secret.ts';
import type { Encrypter } from './cipher.ts';
import type { Certificate } from './openpgp-certificates.ts';
import { writeIntegrityProtected } from './openpgp-integrity-protected.ts';
import { writeLiteral } from './openpgp-literal.ts';
import { passphraseText } from './openpgp-private-keys.ts';

/** What the manifest says of it. */
export interface OpenPgpDescription {
  readonly method: 'openpgp';
  readonly profile: 'rfc4880';
  readonly recipients: string[];
  readonly passphrase: boolean;
}

export interface OpenPgpEncrypterOptions {
  /** From `readCertificates`. Each of them alone opens the backup. */
  readonly recipients: readonly Certificate[];
  /**
   * Open the backup as well, but neither the objects nor the description say who they are (RFC 4880 5.1: key id 0, gpg's
   * `--hidden-recipient`). They have to try all their keys. How many there are can be seen.
   */
  readonly hiddenRecipients?: readonly Certificate[] | undefined;
  /** Opens the backup as well. UTF-8, used whole: whoever reads it from a file strips the line end. */
  readonly passphrase?: Secret | undefined;
}

/** Who can open the messages. */
interface Readers {
  readonly certificates: readonly Certificate[];
  readonly hidden: readonly Certificate[];
  readonly passphrase: string | undefined;
}

/**
 * Encrypts every object into one binary OpenPGP message that stock gpg 2.2 opens: a session-key packet per recipient
 * and one for the passphrase, then AES-256 with an MDC (SEIPDv1) around one uncompressed literal packet. Each object
 * has its own session key. The passphrase is read here and may be disposed of afterwards. Fails with `key` when there is
 * nobody to encrypt to, or a certificate cannot be used.
 */
export async function openOpenPgpEncrypter(options: OpenPgpEncrypterOptions): Promise<Encrypter<OpenPgpDescription>> {
  const readers = toReaders(options);
  // Proves, before anything is dumped, that every certificate takes a session key.
  await writeSessionKey(randomBytes(32), { ...readers, passphrase: undefined });
  return {
    extension: 'pgp',
    description: {
      method: 'openpgp',
      profile: 'rfc4880',
      recipients: readers.certificates.map(({ fingerprint }) => fingerprint),
      passphrase: readers.passphrase !== undefined,
    },
    encrypt: () => (source) => encryptMessage(source, readers),
  };
}

function toReaders({ recipients, hiddenRecipients = [], passphrase }: OpenPgpEncrypterOptions): Readers {
  if (recipients.length + hiddenRecipients.length === 0 && passphrase === undefined) {
    throw new BackupError('key', 'OpenPGP encryption needs a recipient or a passphrase', {
      hint: 'Give at least one certificate to encrypt to.',
    });
  }
  if (passphrase?.sizeBytes === 0) throw new BackupError('key', 'the passphrase for OpenPGP encryption is empty');
  const certificates = withoutRepeats(recipients);
  const named = new Set(certificates.map(({ fingerprint }) => fingerprint));
  const hidden = withoutRepeats(hiddenRecipients).filter(({ fingerprint }) => !named.has(fingerprint));
  return { certificates, hidden, passphrase: passphrase && passphraseText(passphrase) };
}

/** The same certificate may stand in several files. */
function withoutRepeats(certificates: readonly Certificate[]): readonly Certificate[] {
  return [...new Map(certificates.map((certificate) => [certificate.fingerprint, certificate])).values()];
}

async function* encryptMessage(source: ByteStream, readers: Readers): ByteStream {
  const sessionKey = randomBytes(32);
  try {
    yield await writeSessionKey(sessionKey, readers);
    yield* writeIntegrityProtected(writeLiteral(source), sessionKey);
  } finally {
    sessionKey.fill(0);
  }
}

/** The packets from which each recipient, and the passphrase, gets the session key (RFC 4880 5.1 and 5.3). */
async function writeSessionKey(sessionKey: Uint8Array, readers: Readers): Promise<Uint8Array> {
  const { certificates, hidden, passphrase } = readers;
  const passwords = passphrase === undefined ? [] : [passphrase];
  return Buffer.concat([
    await writePackets(sessionKey, { certificates, passwords }),
    await writePackets(sessionKey, { certificates: hidden, wildcard: true }),
  ]);
}

interface PacketReaders {
  readonly certificates: readonly Certificate[];
  readonly passwords?: string[];
  readonly wildcard?: boolean;
}

async function writePackets(sessionKey: Uint8Array, readers: PacketReaders): Promise<Uint8Array> {
  const { encryptSessionKey, enums } = await import('openpgp');
  const { certificates, passwords = [], wildcard = false } = readers;
  if (certificates.length + passwords.length === 0) return Buffer.alloc(0);
  try {
    return await encryptSessionKey({
      data: sessionKey,
      algorithm: 'aes256',
      encryptionKeys: certificates.map(({ key }) => key),
      encryptionKeyIDs: certificates.map(({ encryptionKeyId, key }) => encryptionKeyId ?? key.getKeyID()),
      passwords,
      wildcard,
      format: 'binary',
      // Iterated and salted SHA-256 over 65,011,712 bytes, the most RFC 4880 has; gpg 2.2 knows no Argon2.
      config: { aeadProtect: false, s2kType: enums.s2k.iterated, s2kIterationCountByte: 255 },
    });
  } catch (error) {
    throw new BackupError('key', `cannot encrypt to the recipients: ${describeError(error)}`, { cause: error });
  }
}
