import type { PrivateKey } from 'openpgp';
import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import { keyBlocks } from './openpgp-key-blocks.ts';

/** Upper-case hexadecimal, as the manifest has it. */
export function fingerprintOf(key: { getFingerprint(): string }): string {
  return key.getFingerprint().toUpperCase();
}

/** The text of a passphrase. OpenPGP hashes it as UTF-8, so bytes that are not UTF-8 would silently become others. */
export function passphraseText(passphrase: Secret): string {
  const text = passphrase.revealText();
  if (Buffer.from(text, 'utf8').equals(passphrase.reveal())) return text;
  throw new BackupError('key', 'the passphrase is not valid UTF-8');
}

/** Every private key in `secrets`, each armored or binary, with one or several keys. Fails with `key`. */
export async function readPrivateKeys(secrets: readonly Secret[]): Promise<PrivateKey[]> {
  const keys = await Promise.all(secrets.map(async (secret) => await readSecret(secret)));
  return keys.flat();
}

async function readSecret(secret: Secret): Promise<PrivateKey[]> {
  const { readPrivateKeys } = await import('openpgp');
  const keys: PrivateKey[] = [];
  try {
    for (const binaryKeys of await keyBlocks(secret.reveal())) keys.push(...(await readPrivateKeys({ binaryKeys })));
  } catch (error) {
    throw new BackupError('key', 'a private key cannot be read', { hint: exportHint, cause: error });
  }
  if (keys.length === 0) throw new BackupError('key', 'a private key file holds no key', { hint: exportHint });
  return keys;
}

const exportHint = 'Give a file made by "gpg --export-secret-keys" or "keys generate".';

/** `key` ready for use: unlocked with `passphrase` when it is locked. Fails with `key`. */
export async function unlockPrivateKey(key: PrivateKey, passphrase: string | undefined): Promise<PrivateKey> {
  if (!isLocked(key)) return key;
  const fingerprint = fingerprintOf(key);
  if (passphrase === undefined) {
    throw new BackupError('key', `private key ${fingerprint} is locked by a passphrase`, {
      hint: 'Give the passphrase of the private key.',
    });
  }
  const { decryptKey } = await import('openpgp');
  try {
    return await decryptKey({ privateKey: key, passphrase });
  } catch (error) {
    throw new BackupError('key', `wrong passphrase for private key ${fingerprint}`, { cause: error });
  }
}

/** A key of which only the subkeys are at hand (`gpg --export-secret-subkeys`) is unlocked when those are. */
function isLocked(key: PrivateKey): boolean {
  return key.getKeys().some(({ keyPacket }) => {
    return 'isDummy' in keyPacket && !keyPacket.isDummy() && !keyPacket.isDecrypted();
  });
}
