import { randomBytes } from 'node:crypto';
import { Secret } from '../core/secret.ts';
import { toKeyId } from './key-id.ts';
import { writeNewFile } from './write-new-file.ts';

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
  await writeNewFile(path, toKeyFileText(key, `key ${keyId}, made ${now.toISOString()}`), 0o600);
  return { path, keyId };
}

function toKeyFileText(key: Secret, facts: string): string {
  const base64 = Buffer.from(key.reveal()).toString('base64');
  return `# librelog-backup AES-256 ${facts}\n# Whoever has it reads the backups; without it nobody can.\n${base64}\n`;
}
