import { open, readlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { BackupError, describeError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import type { SecretRead } from './read-secret.ts';
import { refuseVersion } from './secret-reference.ts';
import type { SecretReference } from './secret-reference.ts';

/** Enough for a keyring of certificates; a file that is larger was named by mistake. */
export const maxSecretBytes = 1024 * 1024;

/** `file:PATH`. A regular file that group or others may read gets a warning. Pipes (`file:/dev/fd/3`) are read to their end. */
export async function readSecretFile(reference: SecretReference): Promise<SecretRead> {
  refuseVersion(reference);
  const { location: path, text: name } = reference;
  try {
    await using file = await open(path, 'r');
    return { secret: await readBounded(file, name), warnings: await findWarnings(path, file) };
  } catch (error) {
    if (error instanceof BackupError) throw error;
    throw new BackupError('key', `cannot read secret ${name}: ${describeFileError(error)}`, { cause: error });
  }
}

async function readBounded(file: FileHandle, name: string): Promise<Secret> {
  const buffer = Buffer.alloc(maxSecretBytes + 1);
  let filled = 0;
  while (filled < buffer.byteLength) {
    const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  const secret = new Secret(Uint8Array.from(buffer.subarray(0, filled)));
  buffer.fill(0);
  if (filled > maxSecretBytes) throw new BackupError('key', `secret ${name} is larger than ${maxSecretBytes} bytes`);
  return secret;
}

async function findWarnings(path: string, file: FileHandle): Promise<string[]> {
  const stats = await file.stat();
  const isOpenToOthers = stats.isFile() && (stats.mode & 0o044) !== 0;
  if (!isOpenToOthers || (await isMountedByOrchestrator(path))) return [];
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  return [`secret file "${path}" can be read by other users (mode ${mode}); chmod 600 closes it`];
}

/**
 * Kubernetes (a link into `..data`) and Docker (`/run/secrets`) mount secrets with mode 0444 or 0644 inside a container
 * of one user: a warning there would come every night and help nobody.
 */
async function isMountedByOrchestrator(path: string): Promise<boolean> {
  if (path.startsWith('/run/secrets/')) return true;
  const target = await readlink(path).catch(() => '');
  return target.startsWith('..data/');
}

const fileProblems: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
};

/** What a failed file operation says to the operator. */
export function describeFileError(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return fileProblems[code] ?? describeError(error);
}
