import type { Manifest } from '../catalog/manifest.ts';
import { canonicalManifestBytes } from '../catalog/seal.ts';
import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import type { Decrypter } from '../crypto/cipher.ts';
import {
  readContentOf,
  readPassphraseOf,
  readPublicContentOf,
  readUnlockers,
  type UnlockRequest,
} from './read-secrets.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** Everything that may open a backup; every string is a secret reference. What does not apply is not read. */
export interface DecryptionRequest extends UnlockRequest {
  /** OpenPGP private keys. */
  readonly privateKeys?: readonly string[] | undefined;
  readonly privateKeyPassphrase?: string | undefined;
  /** Certificates of those whose signature on a manifest counts. */
  readonly signers?: readonly string[] | undefined;
  /** Opens nothing that none of the `signers` has signed. Without it no signer at all means that anybody will do. */
  readonly requireSignature?: boolean | undefined;
  /** Who decrypts OpenPGP: ourselves (default), or the local gpg with its own keys, agent and smartcard. */
  readonly engine?: 'built-in' | 'gpg' | undefined;
}

const changedHint = 'Restore another backup, and find out who or what changed this one.';

/** Opens the objects of one backup. Dispose wipes its keys. */
export interface BackupDecryption extends Disposable {
  readonly decrypter: Decrypter;
}

/**
 * Unlocks a backup and checks its manifest's seal, before an object is read. Errors: `key` (nothing given opens it),
 * `integrity` (the seal is not the manifest's, or a signature was demanded and is missing), `config` (a reference, no gpg),
 * `usage` (options that contradict each other).
 */
export async function openDecryption(
  manifest: Manifest,
  request: DecryptionRequest,
  context: UseCaseContext,
): Promise<BackupDecryption> {
  if (manifest.encryption.method === 'openpgp') {
    await checkSignature(manifest, request, context);
    return await openOpenPgp({ ...request, takesPassphrase: manifest.encryption.passphrase }, context);
  }
  refuseUnsigned(manifest, request);
  const { unwrapDataKey } = await import('../crypto/data-key.ts');
  const { createAesDecrypter } = await import('../crypto/aes-container.ts');
  using unlockers = await readUnlockers(request, context);
  const dataKey = await unwrapDataKey(manifest.encryption.wrappedKeys, unlockers, {
    backupId: manifest.id,
    label: manifest.label,
  });
  await checkMac(manifest, dataKey);
  return {
    decrypter: createAesDecrypter({ dataKey }),
    [Symbol.dispose]: () => dataKey[Symbol.dispose](),
  };
}

/**
 * Opens OpenPGP messages of any origin with the private keys and the passphrase given, or by gpg. Fails with `usage` where
 * a signature is required: only manifests have one.
 */
export async function openOpenPgpDecryption(
  request: DecryptionRequest,
  context: UseCaseContext,
): Promise<BackupDecryption> {
  refuseWithoutManifest(request);
  return await openOpenPgp(request, context);
}

/** AES-256 backups have no signature: fails with `integrity` where one is required. */
export function refuseUnsigned(manifest: Manifest, request: DecryptionRequest): void {
  if (request.requireSignature === true) throw notSigned(manifest, 'AES-256 backups are sealed with their own key');
}

/** A signature that is required cannot be had of a file that has no manifest: fails with `usage`. */
export function refuseWithoutManifest(request: DecryptionRequest): void {
  if (request.requireSignature !== true) return;
  throw new BackupError('usage', 'a file without a manifest has no signature that could be required', {
    hint: 'Leave out --require-signature only if you trust everyone who can write the file.',
  });
}

/** What is known of the messages, beside what may open them. */
interface OpenPgpRequest extends DecryptionRequest {
  readonly takesPassphrase?: boolean;
}

async function openOpenPgp(request: OpenPgpRequest, context: UseCaseContext): Promise<BackupDecryption> {
  return request.engine === 'gpg' ? await openByGpg(request, context) : await openByOurselves(request, context);
}

async function openByGpg(request: DecryptionRequest, context: UseCaseContext): Promise<BackupDecryption> {
  const { privateKeys = [], passphrase: ofMessage, privateKeyPassphrase: ofKey } = request;
  if (privateKeys.length > 0) {
    throw new BackupError('usage', 'gpg takes private keys from its own keyring only', {
      hint: 'Import the key into gpg, or leave out --engine gpg.',
    });
  }
  if (ofMessage !== undefined && ofKey !== undefined) {
    throw new BackupError('usage', 'gpg takes one passphrase', {
      hint: 'Give --passphrase or --private-key-passphrase.',
    });
  }
  const { openGpgDecrypter } = await import('../crypto/gpg-engine.ts');
  const reference = ofMessage ?? ofKey;
  const passphrase = reference === undefined ? undefined : await readPassphraseOf(reference, context);
  return {
    decrypter: await openGpgDecrypter({ env: context.env, passphrase, signal: context.signal }),
    [Symbol.dispose]: () => passphrase?.[Symbol.dispose](),
  };
}

async function openByOurselves(request: OpenPgpRequest, context: UseCaseContext): Promise<BackupDecryption> {
  const { openOpenPgpDecrypter } = await import('../crypto/openpgp-decrypter.ts');
  const privateKeys: Secret[] = [];
  for (const reference of request.privateKeys ?? [])
    privateKeys.push(await readContentOf(reference, 'private-key', context));
  const passphrases: Secret[] = [];
  if (request.passphrase !== undefined) passphrases.push(await readPassphraseOf(request.passphrase, context));
  if (privateKeys.length + passphrases.length === 0) {
    throw new BackupError('key', 'no OpenPGP key given', {
      hint: 'Name the private key with --private-key file:PATH, or the passphrase with --passphrase env:NAME.',
    });
  }
  const keyPassphrase =
    request.privateKeyPassphrase === undefined
      ? undefined
      : await readPassphraseOf(request.privateKeyPassphrase, context);
  const secrets = [...privateKeys, ...passphrases, keyPassphrase];
  return {
    decrypter: await openOpenPgpDecrypter({
      privateKeys,
      passphrases,
      takesPassphrase: request.takesPassphrase,
      ...(keyPassphrase && { keyPassphrase }),
    }),
    [Symbol.dispose]: () => {
      for (const secret of secrets) secret?.[Symbol.dispose]();
    },
  };
}

/** Fails with `integrity` unless a holder of the data key has sealed the manifest as it is. */
export async function checkMac(manifest: Manifest, dataKey: Secret): Promise<void> {
  const { isManifestMac } = await import('../crypto/manifest-mac.ts');
  const { seal } = manifest;
  if (seal?.method === 'hmac-sha-256' && isManifestMac(dataKey, canonicalManifestBytes(manifest), seal.value)) return;
  throw new BackupError('integrity', `manifest of backup "${manifest.id}" was changed: its seal does not fit`, {
    hint: changedHint,
  });
}

/**
 * Without signers nobody's signature is demanded, unless one is required: the store's access rights are then all that
 * vouches for the backup.
 */
export async function checkSignature(
  manifest: Manifest,
  request: DecryptionRequest,
  context: UseCaseContext,
): Promise<void> {
  const { seal } = manifest;
  if (request.signers === undefined || request.signers.length === 0) {
    if (request.requireSignature === true) {
      throw new BackupError('usage', 'a signature is required, but no signer was named', {
        hint: "Name the signer's certificate with --signer file:PATH.",
      });
    }
    if (seal !== null) context.log.warn({ backup: manifest.id }, 'signature not checked: no --signer given');
    return;
  }
  if (seal?.method !== 'openpgp-signature') throw notSigned(manifest);
  const { readCertificates } = await import('../crypto/openpgp-certificates.ts');
  const { verifyDetached } = await import('../crypto/openpgp-signature.ts');
  const bytes = canonicalManifestBytes(manifest);
  const signers = [];
  for (const name of request.signers) {
    signers.push(
      ...(await readCertificates(await readPublicContentOf(name, context), {
        name,
        now: context.now(),
        purpose: 'verification',
      })),
    );
  }
  try {
    await verifyDetached(bytes, seal.value, signers);
  } catch (error) {
    if (error instanceof BackupError && error.kind === 'integrity') throw changed(manifest, error);
    throw error;
  }
}

function notSigned(manifest: Manifest, reason?: string): BackupError {
  const why = reason === undefined ? '' : `: ${reason}`;
  return new BackupError('integrity', `manifest of backup "${manifest.id}" is not signed${why}`, {
    hint: 'Leave out the demand for a signature only if you trust everyone who can write to the store.',
  });
}

function changed(manifest: Manifest, reason: BackupError): BackupError {
  return new BackupError('integrity', `manifest of backup "${manifest.id}" was changed: ${reason.message}`, {
    hint: changedHint,
    cause: reason,
  });
}
