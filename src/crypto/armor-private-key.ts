import { BackupError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import { keyBlocks } from './openpgp-key-blocks.ts';
import { fingerprintOf, readPrivateKeys } from './openpgp-private-keys.ts';

/** A private key as text, to be kept elsewhere. */
export interface ArmoredPrivateKey {
  /** ASCII, with line feeds. The caller disposes of it. */
  readonly armored: Secret;
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  readonly createdAt: Date;
  /** Whether all of its secret parts are locked by a passphrase. */
  readonly isLocked: boolean;
}

/**
 * The one private key in a file, packets unchanged: it stays locked as it is. Armor headers and the text around it are left
 * out. Fails with `key` when there is none, or more than one. `secret` stays its owner's.
 */
export async function armorPrivateKey(secret: Secret): Promise<ArmoredPrivateKey> {
  const [key, ...others] = await readPrivateKeys([secret]);
  const [block] = await keyBlocks(secret.reveal());
  if (key === undefined || block === undefined || others.length > 0) {
    throw new BackupError('key', `a private key file holds ${others.length + 1} keys, not one`, {
      hint: 'Export each by itself with "gpg --export-secret-keys FINGERPRINT".',
    });
  }
  const { armor, enums } = await import('openpgp');
  const text = armor(enums.armor.privateKey, block, undefined, undefined, undefined, true);
  return {
    armored: Secret.fromText(text.replaceAll('\r', '')),
    fingerprint: fingerprintOf(key),
    userIds: key.getUserIDs(),
    createdAt: key.getCreationTime(),
    isLocked: key.getKeys().every(({ keyPacket }) => {
      return 'isDummy' in keyPacket && (keyPacket.isDummy() || !keyPacket.isDecrypted());
    }),
  };
}
