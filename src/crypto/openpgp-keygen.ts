import { BackupError, describeError } from '../core/backup-error.ts';
import { Secret } from '../core/secret.ts';
import { fingerprintOf, passphraseText } from './openpgp-private-keys.ts';

export interface GenerateOpenPgpKeyOptions {
  readonly name: string;
  readonly email: string;
  /** Locks the private key. UTF-8, used whole. */
  readonly passphrase?: Secret | undefined;
  /** Never, when left out. */
  readonly expiresInDays?: number | undefined;
}

export interface GeneratedOpenPgpKey {
  /** Armored; goes to the backup host. */
  readonly certificate: string;
  /** Armored. */
  readonly privateKey: Secret;
  /** Armored; makes the certificate unusable when it is imported over it. Needs no private key, so keep it safe. */
  readonly revocationCertificate: string;
  readonly fingerprint: string;
}

/**
 * A new OpenPGP key that gpg 2.2 imports: version 4, an Ed25519 primary key that signs and a Curve25519 subkey that
 * encrypts, under the "legacy" algorithm numbers - the numbers of RFC 9580 and version 6 are unknown to gpg 2.2.
 * Fails with `key` when the name or e-mail address is no good.
 */
export async function generateOpenPgpKey(options: GenerateOpenPgpKeyOptions): Promise<GeneratedOpenPgpKey> {
  const { enums, generateKey, readKey } = await import('openpgp');
  const { name, email, passphrase, expiresInDays } = options;
  try {
    const pair = await generateKey({
      userIDs: { name, email },
      type: 'ecc',
      curve: 'curve25519Legacy',
      format: 'armored',
      ...(passphrase && { passphrase: passphraseText(passphrase) }),
      ...(expiresInDays !== undefined && { keyExpirationTime: Math.round(expiresInDays * 86_400) }),
      config: { v6Keys: false, aeadProtect: false, s2kType: enums.s2k.iterated, s2kIterationCountByte: 255 },
    });
    const { publicKey: certificate, privateKey, revocationCertificate } = pair;
    const fingerprint = fingerprintOf(await readKey({ armoredKey: certificate }));
    return { certificate, privateKey: Secret.fromText(privateKey), revocationCertificate, fingerprint };
  } catch (error) {
    if (error instanceof BackupError) throw error;
    throw new BackupError('key', `cannot generate an OpenPGP key: ${describeError(error)}`, { cause: error });
  }
}
