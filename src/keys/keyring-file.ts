import { randomBytes } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { BackupError, toBackupError } from '../core/backup-error.ts';
import { withFileLock } from '../files/file-lock.ts';
import { Secret } from '../core/secret.ts';
import { describeFileError, maxSecretBytes, readSecretFile } from './file-source.ts';
import { destroyKey, findActiveKey, formatKeyring, rotateKey } from './keyring.ts';
import type { Keyring } from './keyring.ts';
import { parseKeyring } from './parse-keyring.ts';
import { replaceFile } from './replace-file.ts';
import type { Owner } from './replace-file.ts';
import { toFileReference } from './secret-reference.ts';

export interface KeyringFileRead {
  /** The caller disposes of it. */
  readonly keyring: Keyring;
  readonly warnings: readonly string[];
}

/** The keyring in a file; a plain key file is a keyring of one key. Errors: `key`. */
export async function readKeyringFile(path: string): Promise<KeyringFileRead> {
  const reference = toFileReference(path);
  const { secret, warnings } = await readSecretFile(reference);
  using text = secret;
  return { keyring: parseKeyring(text, reference.text), warnings };
}

/**
 * Changes the keyring in a file: whole or not at all, one process at a time, so that no change is lost. A plain key file
 * becomes a keyring file. A link is followed. `change` gets the keyring as it is then, and the result is the caller's to
 * dispose of. Fails with `key` when the file cannot be read or written, is open to others or belongs to a user whom we
 * cannot make the owner of the new file; with `conflict` when another process holds its lock for 30 s; and as `change`.
 * Then the file is as it was.
 */
export async function updateKeyringFile(path: string, change: (keyring: Keyring) => Keyring): Promise<Keyring> {
  const target = await findTarget(path);
  const firstOwner = await findOwner(target);
  try {
    return await withFileLock(target, async () => await rewriteKeyring(target, change), firstOwner);
  } catch (error) {
    throw toBackupError(error, 'key', `cannot change keyring "${path}"`);
  }
}

async function rewriteKeyring(path: string, change: (keyring: Keyring) => Keyring): Promise<Keyring> {
  const owner = await findOwner(path);
  const { keyring } = await readKeyringFile(path);
  try {
    const changed = change(keyring);
    using text = formatKeyring(changed);
    if (text.sizeBytes > maxSecretBytes) {
      throw new BackupError('key', `keyring "${path}" would be larger than ${maxSecretBytes} bytes`);
    }
    await replaceFile(path, text, owner);
    return changed;
  } catch (error) {
    keyring[Symbol.dispose]();
    throw error;
  }
}

export interface RotatedKey {
  readonly path: string;
  /** The new key, which is active now. */
  readonly keyId: string;
  /** The one that was active, and is retired now. */
  readonly retiredKeyId: string;
}

/** Makes a new random key the active one of a keyring or key file. Errors as `updateKeyringFile`. */
export async function rotateKeyringFile(path: string, { now }: { readonly now: Date }): Promise<RotatedKey> {
  let retiredKeyId = '';
  using keyring = await updateKeyringFile(path, (keyring) => {
    retiredKeyId = findActiveKey(keyring).id;
    return rotateKey(keyring, new Secret(randomBytes(32)), now);
  });
  return { path, keyId: findActiveKey(keyring).id, retiredKeyId };
}

/**
 * Removes a retired key from a keyring file for good. Copies of the file, and blocks that the file system has not yet
 * used for something else, may still hold it. Errors as `updateKeyringFile` and `destroyKey`.
 */
export async function destroyKeyInFile(path: string, id: string, { now }: { readonly now: Date }): Promise<void> {
  using _changed = await updateKeyringFile(path, (keyring) => destroyKey(keyring, id, { name: `file:${path}`, now }));
}

async function findTarget(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw new BackupError('key', `cannot read keyring "${path}": ${describeFileError(error)}`, { cause: error });
  }
}

async function findOwner(path: string): Promise<Owner> {
  const { uid, gid, mode, isFile } = await statFile(path);
  if (!isFile) throw new BackupError('key', `"${path}" is not a regular file`);
  if ((mode & 0o077) !== 0) {
    const text = (mode & 0o777).toString(8).padStart(4, '0');
    throw new BackupError('key', `keyring "${path}" is open to other users (mode ${text})`, {
      hint: `Close it with chmod 600, and rotate its key if others may have read it.`,
    });
  }
  return { uid, gid };
}

async function statFile(path: string): Promise<Owner & { readonly mode: number; readonly isFile: boolean }> {
  try {
    const stats = await stat(path);
    return { uid: stats.uid, gid: stats.gid, mode: stats.mode, isFile: stats.isFile() };
  } catch (error) {
    throw new BackupError('key', `cannot read keyring "${path}": ${describeFileError(error)}`, { cause: error });
  }
}
