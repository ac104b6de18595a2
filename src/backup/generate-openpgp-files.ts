import { rm } from 'node:fs/promises';
import { generateOpenPgpKey } from '../crypto/openpgp-keygen.ts';
import { writeNewFile } from '../keys/write-new-file.ts';
import { readPassphraseOf } from './read-secrets.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface OpenPgpFilesRequest {
  readonly name: string;
  readonly email: string;
  /** Paths are `PREFIX.pub.asc`, `PREFIX.key.asc` and `PREFIX.rev.asc`. */
  readonly output: string;
  /** Secret reference. */
  readonly passphrase?: string | undefined;
  readonly expiresInDays?: number | undefined;
}

export interface OpenPgpFiles {
  readonly fingerprint: string;
  readonly certificatePath: string;
  readonly privateKeyPath: string;
  readonly revocationPath: string;
}

/**
 * Makes a key pair and writes it, with its revocation certificate, to new files; all but the certificate are for their
 * owner alone. Writes all of them or none. Errors: `key`, `conflict`.
 */
export async function generateOpenPgpFiles(
  request: OpenPgpFilesRequest,
  context: UseCaseContext,
): Promise<OpenPgpFiles> {
  const { name, email, output, expiresInDays } = request;
  const passphrase = request.passphrase === undefined ? undefined : await readPassphraseOf(request.passphrase, context);
  const pair = await generateOpenPgpKey({ name, email, passphrase, expiresInDays });
  const certificatePath = `${output}.pub.asc`;
  const privateKeyPath = `${output}.key.asc`;
  const revocationPath = `${output}.rev.asc`;
  await writeNewFiles([
    { path: privateKeyPath, text: pair.privateKey.revealText(), mode: 0o600 },
    { path: revocationPath, text: pair.revocationCertificate, mode: 0o600 },
    { path: certificatePath, text: pair.certificate, mode: 0o644 },
  ]);
  return { fingerprint: pair.fingerprint, certificatePath, privateKeyPath, revocationPath };
}

interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

async function writeNewFiles(files: readonly NewFile[]): Promise<void> {
  const written: string[] = [];
  try {
    for (const { path, text, mode } of files) {
      await writeNewFile(path, text, mode);
      written.push(path);
    }
  } catch (error) {
    for (const path of written) await rm(path, { force: true });
    throw error;
  }
}
