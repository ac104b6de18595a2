import type { EncryptionDescription, Manifest, Seal } from '../catalog/manifest.ts';
import { canonicalManifestBytes } from '../catalog/seal.ts';
import { BackupError } from '../core/backup-error.ts';
import type { Compression } from '../core/compression.ts';
import type { WrapContext } from '../core/key-wrapper.ts';
import type { Encrypter } from '../crypto/cipher.ts';
import type { Wrappers } from '../crypto/data-key.ts';
import type { Secret } from '../core/secret.ts';
import type { Certificate } from '../crypto/openpgp-certificates.ts';
import type { KeyChoice } from '../crypto/openpgp-key-choice.ts';
import { readContentOf, readPassphraseOf, readPublicContentOf, readUnlockers } from './read-secrets.ts';
import { renewWraps } from './renew-wraps.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** How a backup is to be encrypted; every string is a secret reference. */
export type EncryptionRequest =
  | {
      readonly method: 'openpgp';
      /** Certificate files or keyrings; every certificate in them is a recipient. */
      readonly recipients: readonly string[];
      /** The same, for recipients whom neither the objects nor the manifest are to name. */
      readonly hiddenRecipients?: readonly string[] | undefined;
      /**
       * Fingerprints or long key ids: of the certificates above, only these. With `!` behind it that very subkey
       * encrypts, and not the newest one of its certificate.
       */
      readonly recipientKeys?: readonly string[] | undefined;
      readonly passphrase?: string | undefined;
      /** Signs the manifest. */
      readonly signingKey?: string | undefined;
      readonly signingKeyPassphrase?: string | undefined;
    }
  | {
      readonly method: 'aes-256';
      /** Key-encryption keys; any one of them opens the backup. */
      readonly keys: readonly string[];
      readonly passphrase?: string | undefined;
    };

type OpenPgpRequest = Extract<EncryptionRequest, { method: 'openpgp' }>;
type AesRequest = Extract<EncryptionRequest, { method: 'aes-256' }>;

export type UnsealedManifest = Omit<Manifest, 'seal'>;

/** Keys that were read and checked. Dispose wipes them. */
export interface PreparedEncryption extends Disposable {
  /** Suffix of encrypted objects, without a dot. */
  readonly extension: string;
  /** Wraps a new data key for one backup, where the method has one. Errors: `key`. */
  begin(backup: WrapContext): Promise<BackupEncryption>;
}

/** Everything needed to encrypt and seal one backup, as long as what prepared it lives. Dispose wipes its data key. */
export interface BackupEncryption extends Disposable {
  readonly encrypter: Encrypter<EncryptionDescription>;
  /** What encrypts, and since when. */
  readonly keys: readonly { readonly name: string; readonly createdAt: Date | null }[];
  /**
   * What the manifest says of the encryption, to be asked for when everything is stored: keys that wrapped the data key
   * are read anew, as `renewWraps` does. Errors: `key`.
   */
  describe(): Promise<EncryptionDescription>;
  seal(manifest: UnsealedManifest): Promise<Seal | null>;
}

/**
 * Checks what was given before anything else happens; AES keys are read when a backup begins, all others at once. Errors:
 * `usage` (no key given), `config` (a reference), `key` (what it names).
 */
export async function prepareEncryption(
  request: EncryptionRequest,
  compression: Compression,
  context: UseCaseContext,
): Promise<PreparedEncryption> {
  return request.method === 'openpgp'
    ? await prepareOpenPgp(request, context)
    : await prepareAes(request, compression, context);
}

async function prepareAes(
  request: AesRequest,
  compression: Compression,
  context: UseCaseContext,
): Promise<PreparedEncryption> {
  if (request.keys.length === 0 && request.passphrase === undefined) {
    throw new BackupError('usage', 'AES-256 needs a key', {
      hint: 'Name one with --key file:PATH or --passphrase env:NAME.',
    });
  }
  const wrappers = await readUnlockers(request, context);
  return {
    extension: 'aes',
    begin: async (backup) => await beginAes({ request, wrappers, compression, backup }, context),
    [Symbol.dispose]: () => wrappers[Symbol.dispose](),
  };
}

interface AesBeginning {
  readonly request: AesRequest;
  readonly wrappers: Wrappers;
  readonly compression: Compression;
  readonly backup: WrapContext;
}

async function beginAes(beginning: AesBeginning, context: UseCaseContext): Promise<BackupEncryption> {
  const { request, wrappers, compression, backup } = beginning;
  const { createDataKey, wrapDataKey } = await import('../crypto/data-key.ts');
  const { createAesEncrypter } = await import('../crypto/aes-container.ts');
  const { macManifest } = await import('../crypto/manifest-mac.ts');
  const dataKey = createDataKey();
  const wrappedKeys = await wrapDataKey(dataKey, wrappers, backup);
  const keys = (wrappers.keys ?? []).map(async (key) => ({
    name: key.name,
    createdAt: (await key.createdAt?.()) ?? null,
  }));
  const encrypter = createAesEncrypter({ dataKey, wrappedKeys, compression, label: backup.label });
  const { method } = encrypter.description;
  return {
    keys: await Promise.all(keys),
    encrypter,
    describe: async () => ({
      method,
      wrappedKeys: await renewWraps({ dataKey, backup, keys: request.keys, wrappedKeys }, context),
    }),
    seal: async (manifest) => ({
      method: 'hmac-sha-256',
      value: macManifest(dataKey, canonicalManifestBytes(manifest)),
    }),
    [Symbol.dispose]: () => dataKey[Symbol.dispose](),
  };
}

async function prepareOpenPgp(request: OpenPgpRequest, context: UseCaseContext): Promise<PreparedEncryption> {
  const { hiddenRecipients = [] } = request;
  if (request.recipients.length + hiddenRecipients.length === 0 && request.passphrase === undefined) {
    throw new BackupError('usage', 'OpenPGP needs a recipient', {
      hint: 'Name a certificate with --recipient file:PATH, or a passphrase with --passphrase env:NAME.',
    });
  }
  const { openOpenPgpEncrypter } = await import('../crypto/openpgp-encrypter.ts');
  const recipients = await readRecipients(request, context);
  const signing = await readSigningKey(request, context);
  using passphrase = request.passphrase === undefined ? null : await readPassphraseOf(request.passphrase, context);
  const encrypter = await openOpenPgpEncrypter({ ...recipients, ...(passphrase && { passphrase }) });
  const certificates = [...recipients.recipients, ...recipients.hiddenRecipients];
  const encryption: BackupEncryption = {
    encrypter,
    keys: certificates.map(({ fingerprint, createdAt }) => ({ name: fingerprint, createdAt })),
    describe: async () => await Promise.resolve(encrypter.description),
    seal: async (manifest) => (signing === null ? null : await sign(manifest, signing)),
    [Symbol.dispose]: () => {},
  };
  return {
    extension: encrypter.extension,
    begin: async () => await Promise.resolve(encryption),
    [Symbol.dispose]: () => {
      signing?.signingKey[Symbol.dispose]();
      signing?.keyPassphrase?.[Symbol.dispose]();
    },
  };
}

interface Recipients {
  readonly recipients: readonly Certificate[];
  readonly hiddenRecipients: readonly Certificate[];
}

async function readRecipients(request: OpenPgpRequest, context: UseCaseContext): Promise<Recipients> {
  const { parseKeyChoice, requireChosen } = await import('../crypto/openpgp-key-choice.ts');
  const choices = (request.recipientKeys ?? []).map((text) => parseKeyChoice(text));
  const recipients = await readCertificatesOf(request.recipients, choices, context);
  const hiddenRecipients = await readCertificatesOf(request.hiddenRecipients ?? [], choices, context);
  requireChosen([...recipients, ...hiddenRecipients], choices);
  return { recipients, hiddenRecipients };
}

async function readCertificatesOf(
  references: readonly string[],
  choices: readonly KeyChoice[],
  context: UseCaseContext,
): Promise<readonly Certificate[]> {
  const { readCertificates } = await import('../crypto/openpgp-certificates.ts');
  const certificates: Certificate[] = [];
  for (const name of references) {
    const bytes = await readPublicContentOf(name, context);
    certificates.push(...(await readCertificates(bytes, { name, now: context.now(), choices })));
  }
  return certificates;
}

interface SigningKey {
  readonly signingKey: Secret;
  readonly keyPassphrase?: Secret;
}

async function readSigningKey(request: OpenPgpRequest, context: UseCaseContext): Promise<SigningKey | null> {
  if (request.signingKey === undefined) return null;
  const signingKey = await readContentOf(request.signingKey, 'signing-key', context);
  if (request.signingKeyPassphrase === undefined) return { signingKey };
  return { signingKey, keyPassphrase: await readPassphraseOf(request.signingKeyPassphrase, context) };
}

async function sign(manifest: UnsealedManifest, key: SigningKey): Promise<Seal> {
  const { signDetached } = await import('../crypto/openpgp-signature.ts');
  const { signer, value } = await signDetached(canonicalManifestBytes(manifest), key);
  return { method: 'openpgp-signature', signer, value };
}
