import type { KeyID, Message, PrivateKey, enums } from 'openpgp';
import { BackupError, toBackupError } from '../core/backup-error.ts';
import { type Envelope, decryptHead } from './openpgp-envelope.ts';
import { damagedMessage } from './openpgp-packets.ts';

export interface SessionKey {
  readonly data: Uint8Array;
  /** `null` where the data packet itself names the cipher. */
  readonly algorithm: enums.symmetricNames | null;
  /** `false`: it came from a passphrase that nothing proves right; data that makes no sense can mean a wrong one. */
  readonly isProven: boolean;
}

/** Everything that may open a message. */
export interface Keyring {
  readonly privateKeys: readonly PrivateKey[];
  /** Unlocks one of them, or fails with `key`. */
  readonly unlock: (key: PrivateKey) => Promise<PrivateKey>;
  readonly passphrases: readonly string[];
  /** `false`: no passphrase opens the message, as its manifest says; one that claims so was changed. */
  readonly takesPassphrase: boolean;
}

/**
 * The session key of a message: from the first private key it is encrypted for - each is tried when there are hidden
 * recipients -, else from the first passphrase that fits. Fails with `key` when nothing in the keyring opens it, with `integrity` when its session-key packets are damaged.
 */
export async function openSessionKey(envelope: Envelope, keyring: Keyring, name: string): Promise<SessionKey> {
  const message = await readSessionKeyPackets(envelope, name);
  const failures: BackupError[] = [];
  const byKey = await tryPrivateKeys(message, { envelope, keyring, name, failures });
  const sessionKey = byKey ?? (await tryPassphrases({ envelope, keyring, name }));
  if (sessionKey !== null) return sessionKey;
  if (envelope.hasPassphrase && !keyring.takesPassphrase)
    throw damagedMessage(name, 'asks for a passphrase it never had');
  throw failures[0] ?? nothingFits(message, envelope, name);
}

type EncryptedMessage = Message<Uint8Array>;

interface Attempt {
  readonly envelope: Envelope;
  readonly keyring: Keyring;
  readonly name: string;
}

/** Anew for each attempt: openpgp.js consumes what it decrypts. */
async function readSessionKeyPackets(envelope: Envelope, name: string): Promise<EncryptedMessage> {
  const { readMessage } = await import('openpgp');
  const binaryMessage = envelope.sessionKeyPackets;
  if (binaryMessage.byteLength === 0) throw damagedMessage(name, 'names neither recipients nor a passphrase');
  try {
    return await readMessage({ binaryMessage });
  } catch (error) {
    throw damagedMessage(name, 'has damaged session keys', error);
  }
}

async function tryPrivateKeys(
  message: EncryptedMessage,
  attempt: Attempt & { readonly failures: BackupError[] },
): Promise<SessionKey | null> {
  const { envelope, keyring, name, failures } = attempt;
  const keyIds = message.getEncryptionKeyIDs();
  const isHidden = keyIds.some(isWildcard);
  for (const privateKey of keyring.privateKeys) {
    const isNamed = keyIds.some((keyId) => !isWildcard(keyId) && privateKey.getKeys(keyId).length > 0);
    if (!isNamed && !isHidden) continue;
    try {
      const unlocked = await keyring.unlock(privateKey);
      const candidates = await decryptSessionKeys(attempt, { decryptionKeys: unlocked });
      const fitting = candidates.find((candidate) => fits(envelope, candidate));
      const sessionKey = fitting ?? (isNamed ? candidates[0] : undefined);
      if (sessionKey !== undefined) return { ...sessionKey, isProven: true };
      if (isNamed)
        failures.push(damagedMessage(name, `is damaged: the session key for ${privateKey.getKeyID().toHex()} is`));
    } catch (error) {
      failures.push(toBackupError(error, 'key', `private key ${privateKey.getKeyID().toHex()} cannot be used`));
    }
  }
  return null;
}

/** A recipient that the message does not name: the key id is 0 (RFC 4880 5.1). */
function isWildcard(keyId: KeyID): boolean {
  return /^0+$/.test(keyId.toHex());
}

/** Of what was encrypted to another key RSA makes noise, which now and then looks like a session key. */
function fits(envelope: Envelope, candidate: Omit<SessionKey, 'isProven'>): boolean {
  return decryptHead(envelope, candidate)?.isRepeated !== false;
}

async function tryPassphrases(attempt: Attempt): Promise<SessionKey | null> {
  const { envelope, keyring } = attempt;
  if (!envelope.hasPassphrase) return null;
  for (const passwords of keyring.passphrases) {
    for (const candidate of await decryptSessionKeys(attempt, { passwords })) {
      const head = decryptHead(envelope, candidate);
      if (head === null) return { ...candidate, isProven: false };
      if (head.isRepeated) return { ...candidate, isProven: true };
    }
  }
  return null;
}

/** Whatever session keys a key or passphrase gives; for a passphrase, wrong ones among them. */
async function decryptSessionKeys(
  { envelope, name }: Attempt,
  means: { decryptionKeys: PrivateKey } | { passwords: string },
): Promise<Omit<SessionKey, 'isProven'>[]> {
  const openpgp = await import('openpgp');
  const message = await readSessionKeyPackets(envelope, name);
  try {
    // Keys that PGP and the first gpg made say nothing of what they may be used for.
    return await openpgp.decryptSessionKeys({ message, ...means, config: { allowMissingKeyFlags: true } });
  } catch {
    return [];
  }
}

function nothingFits(message: EncryptedMessage, envelope: Envelope, name: string): BackupError {
  const keyIds = message.getEncryptionKeyIDs();
  const named = keyIds.filter((keyId) => !isWildcard(keyId)).map((keyId) => keyId.toHex().toUpperCase());
  const ways = [
    ...(named.length > 0 ? [`encrypted for key ids ${named.join(', ')}, none of which is at hand`] : []),
    ...(named.length < keyIds.length ? ['encrypted for hidden recipients, whose keys are not at hand'] : []),
    ...(envelope.hasPassphrase ? ['encrypted with a passphrase, which is missing or wrong'] : []),
  ];
  if (ways.length === 0) return damagedMessage(name, 'has no session key that can be read');
  return new BackupError('key', `OpenPGP message "${name}" is ${ways.join(', and ')}`, {
    hint: 'Give the private key of one of the recipients, or the passphrase.',
  });
}
