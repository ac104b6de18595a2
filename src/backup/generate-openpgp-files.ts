import { BackupError } from '../core/backup-error.ts';
import { generateOpenPgpKey } from '../crypto/openpgp-keygen.ts';
import { writeNewFiles } from '../keys/write-new-files.ts';
import { audited } from './audited.ts';
import { readPassphraseOf, readPublicContentOf } from './read-secrets.ts';
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
  return await makeFiles('generate', request, context);
}

export interface OpenPgpRotation extends Omit<OpenPgpFilesRequest, 'name' | 'email'> {
  /** Reference of the certificate that is replaced; its owner is the new one's. */
  readonly recipient: string;
}

/**
 * Makes a new pair for the owner of a certificate, which stays as it is: only its private key opens what was encrypted to
 * it. Errors: `key` (no certificate, or several), as `generateOpenPgpFiles`.
 */
export async function rotateOpenPgpFiles(
  request: OpenPgpRotation,
  context: UseCaseContext,
): Promise<OpenPgpFiles & { readonly replaces: string }> {
  const { readCertificates } = await import('../crypto/openpgp-certificates.ts');
  const bytes = await readPublicContentOf(request.recipient, context);
  // An expired one is replaced as well.
  const options = { name: request.recipient, now: context.now(), purpose: 'verification' } as const;
  const [certificate, ...others] = await readCertificates(bytes, options);
  const [, name, email] = /^(.*?)\s*<([^<>]+)>$/.exec(certificate?.userIds[0] ?? '') ?? [];
  if (certificate === undefined || others.length > 0 || name === undefined || email === undefined) {
    throw new BackupError('key', `${request.recipient} is not one certificate of a person with name and address`, {
      hint: 'Make a new pair with: librelog-backup keys generate openpgp.',
    });
  }
  const made = await makeFiles('rotate', { ...request, name, email }, context);
  return { ...made, replaces: certificate.fingerprint };
}

async function makeFiles(
  action: 'generate' | 'rotate',
  request: OpenPgpFilesRequest,
  context: UseCaseContext,
): Promise<OpenPgpFiles> {
  return await audited({ action, context }, async (subject) => {
    subject.key = { source: `file:${request.output}.key.asc`, purpose: action };
    const made = await makePair(request, context);
    subject.key = { ...subject.key, id: made.fingerprint };
    return made;
  });
}

async function makePair(request: OpenPgpFilesRequest, context: UseCaseContext): Promise<OpenPgpFiles> {
  const { name, email, output, expiresInDays } = request;
  using passphrase = request.passphrase === undefined ? undefined : await readPassphraseOf(request.passphrase, context);
  const pair = await generateOpenPgpKey({ name, email, passphrase, expiresInDays });
  using privateKey = pair.privateKey;
  const certificatePath = `${output}.pub.asc`;
  const privateKeyPath = `${output}.key.asc`;
  const revocationPath = `${output}.rev.asc`;
  await writeNewFiles([
    { path: privateKeyPath, content: privateKey.reveal(), mode: 0o600 },
    { path: revocationPath, content: pair.revocationCertificate, mode: 0o600 },
    { path: certificatePath, content: pair.certificate, mode: 0o644 },
  ]);
  return { fingerprint: pair.fingerprint, certificatePath, privateKeyPath, revocationPath };
}
