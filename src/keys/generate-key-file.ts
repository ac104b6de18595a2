import { randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BackupError, describeError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import { toKeyId } from './key-id.ts';

export interface GeneratedKey {
  readonly path: string;
  readonly keyId: string;
}

/**
 * Writes a new random AES-256 key to a new file that only its owner may read, as text that `parseKeyMaterial` reads,
 * and returns when it is on the disk. Fails with `conflict` when the path exists (keys are never overwritten) and with
 * `key` when it cannot be written; then nothing is left.
 */
export async function generateKeyFile(path: string, { now }: { readonly now: Date }): Promise<GeneratedKey> {
  using key = new Secret(randomBytes(32));
  const keyId = toKeyId(key);
  const file = await createFile(path);
  try {
    await writeDurably(file, toKeyFileText(key, `key ${keyId}, made ${now.toISOString()}`));
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(path, { force: true });
    throw cannotWrite(path, error);
  }
  return { path, keyId };
}

function toKeyFileText(key: Secret, facts: string): string {
  const base64 = Buffer.from(key.reveal()).toString('base64');
  return `# librelog-backup AES-256 ${facts}\n# Whoever has it reads the backups; without it nobody can.\n${base64}\n`;
}

async function createFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600);
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    if (!exists) throw cannotWrite(path, error);
    throw new BackupError('conflict', `key file "${path}" exists already`, {
      hint: 'Choose another path; a key file is never overwritten.',
      cause: error,
    });
  }
}

async function writeDurably(file: FileHandle, text: string): Promise<void> {
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the new name durable as well. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

function cannotWrite(path: string, error: unknown): BackupError {
  return new BackupError('key', `cannot write key file "${path}": ${describeError(error)}`, { cause: error });
}
