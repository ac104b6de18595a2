import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import { toKeyId } from './key-id.ts';
import { parseKeyMaterial } from './key-material.ts';
import { createKeyring, isKeyringText, parseKeyringText, selectKey } from './keyring.ts';
import type { Keyring, KeySelection, UsableKey } from './keyring.ts';

/**
 * The keyring in a secret, or the keyring of one active key that a plain key is. Errors: `key`. The caller disposes of it;
 * `secret` stays its owner's.
 */
export function parseKeyring(secret: Secret, name: string): Keyring {
  if (isKeyringText(secret)) return parseKeyringText(secret, name);
  const key = parseKeyMaterial(secret, name);
  return createKeyring(key, findCreationTime(secret, toKeyId(key)));
}

/**
 * The key that a reference with this content stands for: of a keyring, the active key, or the one of the id that is asked
 * for; a plain key is itself, and has to have that id. Fails with `key`, naming reference and id. The caller disposes of
 * the key's secret; `secret` stays its owner's.
 */
export function selectKeyringKey(
  secret: Secret,
  selection: KeySelection,
): UsableKey & { readonly isOfKeyring: boolean } {
  const isOfKeyring = isKeyringText(secret);
  const keyring = parseKeyring(secret, selection.name);
  try {
    const selected = isOfKeyring ? selectKey(keyring, selection) : selectPlainKey(keyring, selection);
    for (const key of keyring.keys) if (key !== selected && key.state !== 'destroyed') key.secret[Symbol.dispose]();
    return { ...selected, isOfKeyring };
  } catch (error) {
    keyring[Symbol.dispose]();
    throw error;
  }
}

function selectPlainKey(keyring: Keyring, { id, name }: KeySelection): UsableKey {
  const key = selectKey(keyring, { name });
  if (id === undefined || id === key.id) return key;
  throw new BackupError('key', `secret ${name} is key ${key.id}, not key ${id}`);
}

/** `generateKeyFile` writes it into a comment. */
function findCreationTime(secret: Secret, keyId: string): string | null {
  const comment = /^# librelog-backup AES-256 key (?<id>[0-9a-f]{16}), made (?<time>\S+)$/m.exec(secret.revealText());
  const time = new Date(comment?.groups?.['id'] === keyId ? (comment.groups['time'] ?? '') : '');
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}
