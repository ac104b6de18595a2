import { getCACertificates } from 'node:tls';
import { BackupError, describeError } from './backup-error.ts';

/**
 * The usual authorities and those of a PEM file, or nothing when no file is named. Fails with `config` when the file
 * cannot be read or holds none.
 */
export async function loadAuthorities(
  caFile: string | undefined,
  readText: (path: string) => Promise<string>,
): Promise<string[] | undefined> {
  if (caFile === undefined) return undefined;
  const pem = await readText(caFile).catch((error: unknown) => {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const reason = isMissing ? 'there is no such file' : describeError(error);
    throw new BackupError('config', `cannot read the certificate authorities in "${caFile}": ${reason}`, {
      hint: 'Give a PEM file that this user may read.',
      cause: error,
    });
  });
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
    throw new BackupError('config', `"${caFile}" holds no certificate`, { hint: 'Give a file in PEM format.' });
  }
  return [...getCACertificates('default'), pem];
}
