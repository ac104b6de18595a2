import type { Secret } from '../core/secret.ts';
import type { KeyWrapper } from '../core/key-wrapper.ts';
import { parseSecretReference, redactReference } from '../keys/secret-reference.ts';
import { readSecret, type SecretRead } from '../keys/read-secret.ts';
import { readPassphrase } from '../keys/read-passphrase.ts';
import { audited } from './audited.ts';
import { openKey } from './open-key.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

/** Secret references that open AES backups and passphrase-encrypted ones. */
export interface UnlockRequest {
  readonly keys?: readonly string[] | undefined;
  readonly passphrase?: string | undefined;
}

/** What the references name. Dispose wipes it. */
export interface ReadUnlockers extends Disposable {
  readonly keys: readonly KeyWrapper[];
  readonly passphrases: readonly Secret[];
}

/** What opens backups: passphrases are read at once, each key when a backup needs it. Errors: `config`, `key`. */
export async function readUnlockers(request: UnlockRequest, context: UseCaseContext): Promise<ReadUnlockers> {
  const keys: KeyWrapper[] = [];
  for (const reference of request.keys ?? []) keys.push(await openKey(reference, context));
  const passphrases: Secret[] = [];
  if (request.passphrase !== undefined) passphrases.push(await readPassphraseOf(request.passphrase, context));
  return {
    keys,
    passphrases,
    [Symbol.dispose]: () => {
      for (const key of keys) key[Symbol.dispose]();
      for (const passphrase of passphrases) passphrase[Symbol.dispose]();
    },
  };
}

export async function readPassphraseOf(reference: string, context: UseCaseContext): Promise<Secret> {
  return await auditedRead({ reference, purpose: 'passphrase', context }, async () => {
    return await readPassphrase(reference, context);
  });
}

/** The whole content that a reference names. */
export async function readContentOf(
  reference: string,
  purpose: 'private-key' | 'signing-key' | 'export',
  context: UseCaseContext,
): Promise<Secret> {
  return await auditedRead({ reference, purpose, context }, async () => {
    return await readSecret(parseSecretReference(reference), context);
  });
}

/** The content of a public certificate, whose file may be open to all. */
export async function readPublicContentOf(reference: string, context: UseCaseContext): Promise<Uint8Array> {
  const { secret } = await readSecret(parseSecretReference(reference), context);
  return secret.reveal();
}

export interface KeyUse {
  readonly reference: string;
  /** What the secret is wanted for, as the audit log has it. */
  readonly purpose: string;
  readonly context: UseCaseContext;
}

/** Reads a secret, and records that before it is handed on. */
export async function auditedRead(
  { reference, purpose, context }: KeyUse,
  read: () => Promise<SecretRead & { readonly keyId?: string }>,
): Promise<Secret> {
  const { secret, warnings } = await audited({ action: 'key-access', context }, async (subject) => {
    subject.key = { source: redactReference(reference), purpose };
    const found = await read();
    subject.key = { ...subject.key, id: found.keyId, version: found.version };
    return found;
  });
  warnAll(context, warnings);
  return secret;
}
