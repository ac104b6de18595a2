import type { PrivateKey, Signature } from 'openpgp';
import { BackupError, describeError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import { findFaultOfSigner } from './openpgp-certificate-checks.ts';
import type { Certificate } from './openpgp-certificates.ts';
import { fingerprintOf, passphraseText, readPrivateKeys, unlockPrivateKey } from './openpgp-private-keys.ts';

export interface SigningOptions {
  /** Armored or binary, with exactly one private key in it. */
  readonly signingKey: Secret;
  readonly keyPassphrase?: Secret | undefined;
}

export interface DetachedSignature {
  /** Fingerprint of the signer's primary key, upper-case hexadecimal. */
  readonly signer: string;
  /** Armored; `gpg --verify` takes it. */
  readonly value: string;
}

/** Signs `bytes` with a detached binary signature. Fails with `key` when the key cannot be read, unlocked or sign. */
export async function signDetached(bytes: Uint8Array, options: SigningOptions): Promise<DetachedSignature> {
  const { createMessage, sign } = await import('openpgp');
  const signingKey = await openSigningKey(options);
  const signer = fingerprintOf(signingKey);
  try {
    const message = await createMessage({ binary: bytes });
    const value = await sign({ message, signingKeys: signingKey, detached: true, format: 'armored' });
    return { signer, value };
  } catch (error) {
    throw new BackupError('key', `key ${signer} cannot sign: ${describeError(error)}`, { cause: error });
  }
}

async function openSigningKey({ signingKey, keyPassphrase }: SigningOptions): Promise<PrivateKey> {
  const [key, ...others] = await readPrivateKeys([signingKey]);
  if (key === undefined || others.length > 0) {
    throw new BackupError('key', `the signing key file holds ${others.length + 1} private keys`, {
      hint: 'Give a file with the one private key that is to sign.',
    });
  }
  return await unlockPrivateKey(key, keyPassphrase && passphraseText(keyPassphrase));
}

export interface VerifiedSignature {
  /** Fingerprint of the signer's primary key. */
  readonly signer: string;
  readonly signedAt: Date;
}

/**
 * Checks a detached signature over `bytes`: one of `certificates` (read for `verification`) must have made it, with a
 * key that was valid then. Fails with `key` when none of them is the signer's or the signer's is revoked, too weak (RSA
 * below 2048 bits, DSA, a self-signature with SHA-1) or had expired by then; with `integrity` when the signature is
 * damaged, weak (SHA-1), of other bytes, or by a key that could not sign.
 */
export async function verifyDetached(
  bytes: Uint8Array,
  armoredSignature: string,
  certificates: readonly Certificate[],
): Promise<VerifiedSignature> {
  const { createMessage, verify } = await import('openpgp');
  const signature = await parseSignature(armoredSignature);
  const signer = findSigner(signature, certificates);
  await refuseUntrusted(signer, signature);
  const message = await createMessage({ binary: bytes });
  const { signatures } = await verify({
    message,
    signature,
    verificationKeys: signer.key,
    // The clocks of the signing and the verifying host need not agree.
    date: null,
    // gpg replaces the self-signatures of a key that is renewed: what it signed before is then older than they are.
    config: { allowInsecureVerificationWithReformattedKeys: true },
  });
  const failures: unknown[] = [];
  for (const { verified, signature } of signatures) {
    try {
      await verified;
      const signedAt = (await signature).packets[0]?.created;
      if (signedAt) return { signer: signer.fingerprint, signedAt };
    } catch (error) {
      failures.push(error);
    }
  }
  const reason = failures.length > 0 ? `: ${describeError(failures[0])}` : '';
  throw new BackupError('integrity', `the OpenPGP signature by ${signer.fingerprint} is not valid${reason}`, {
    cause: failures[0],
  });
}

async function refuseUntrusted({ key, fingerprint }: Certificate, signature: Signature): Promise<void> {
  for (const { issuerKeyID, created } of signature.packets) {
    const reason = await findFaultOfSigner(key, issuerKeyID, created ?? new Date(0));
    if (reason === null) continue;
    throw new BackupError('key', `certificate ${fingerprint} of the signer ${reason}`, {
      hint: 'Restore a backup that another key has signed.',
    });
  }
}

async function parseSignature(armoredSignature: string): Promise<Signature> {
  const { readSignature } = await import('openpgp');
  try {
    return await readSignature({ armoredSignature });
  } catch (error) {
    throw new BackupError('integrity', 'the OpenPGP signature cannot be read', { cause: error });
  }
}

function findSigner(signature: Signature, certificates: readonly Certificate[]): Certificate {
  const keyIds = signature.getSigningKeyIDs();
  const signer = certificates.find(({ key }) => keyIds.some((keyId) => key.getKeys(keyId).length > 0));
  if (signer !== undefined) return signer;
  const names = keyIds.map((keyId) => keyId.toHex().toUpperCase()).join(', ');
  throw new BackupError('key', `the OpenPGP signature is by key id ${names}, whose certificate is not at hand`, {
    hint: "Give the signer's certificate.",
  });
}
