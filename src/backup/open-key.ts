import { BackupError } from '../core/backup-error.ts';
import { identifyKey } from '../core/key-identity.ts';
import type { KeyWrapper } from '../core/key-wrapper.ts';
import type { WrappedKey } from '../core/wrapped-key.ts';
import { createRawKey } from '../crypto/raw-key.ts';
import { findActiveKey, findKey, selectKey } from '../keys/keyring.ts';
import { readKeyring, type KeyringRead } from '../keys/read-key-encryption-key.ts';
import { isSecret, withVersion, type SecretReference } from '../keys/secret-reference.ts';
import { audited } from './audited.ts';
import { parseAudited } from './parse-audited.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

type RawWrappedKey = Extract<WrappedKey, { provider: 'key' }>;

/**
 * What `--key` names: a raw key in a secret, or a key that stays in its service. Each is asked for when a backup needs it.
 * Errors: `config`.
 */
export async function openKey(text: string, context: UseCaseContext): Promise<KeyWrapper> {
  const reference = await parseAudited({ reference: text, purpose: 'open', context });
  if (isSecret(reference)) return recordUses(createSecretKey(reference, context), context);
  const { openKeyWrapper } = await import('../keys/open-key-wrapper.ts');
  return recordUses(await openKeyWrapper(reference, context), context);
}

/** The same key, of which every use is in the audit log before its result is handed on. */
function recordUses(key: KeyWrapper, context: UseCaseContext): KeyWrapper {
  return {
    name: key.name,
    createdAt: async () => (await key.createdAt?.()) ?? null,
    wrap: async (dataKey, backup) =>
      await audited({ action: 'key-access', context }, async (subject) => {
        subject.backup = { id: backup.backupId, label: backup.label };
        subject.key = { source: key.name, purpose: 'wrap' };
        const wrapped = await key.wrap(dataKey, backup);
        subject.key = { ...subject.key, ...toSubject(wrapped) };
        return wrapped;
      }),
    unwrap: async (wrapped, backup) =>
      await audited({ action: 'key-access', context, isEvent: (dataKey) => dataKey !== null }, async (subject) => {
        subject.backup = { id: backup.backupId, label: backup.label };
        subject.key = { source: key.name, purpose: 'unwrap', ...toSubject(wrapped) };
        return await key.unwrap(wrapped, backup);
      }),
    [Symbol.dispose]: () => key[Symbol.dispose](),
  };
}

function toSubject(wrapped: WrappedKey): { readonly id: string | undefined; readonly version: string | undefined } {
  const { keyId, keyVersion } = identifyKey(wrapped);
  return { id: keyId, version: keyVersion };
}

/**
 * A raw key in a secret, or a keyring of several; the source may keep versions of the secret. Each is read once. What is
 * wrapped names the key by its id, which is its version in a keyring.
 */
function createSecretKey(reference: SecretReference, context: UseCaseContext): KeyWrapper {
  const reads = new Map<string, Promise<KeyringRead>>();
  const read = async (version?: string): Promise<KeyringRead> => {
    const wanted = version === undefined ? reference : withVersion(reference, version);
    const started = reads.get(wanted.text) ?? readAndWarn(wanted, context);
    reads.set(wanted.text, started);
    return await started;
  };
  return {
    name: reference.text,
    createdAt: async () => {
      try {
        return (await read()).activeSince;
      } catch {
        return null;
      }
    },
    wrap: async (dataKey, backup) => {
      const { keyring, isKeyring, version } = await read();
      const { secret, id } = findActiveKey(keyring);
      return await createRawKey({ secret, keyId: id, version: isKeyring ? id : version }).wrap(dataKey, backup);
    },
    unwrap: async (wrapped, backup) => {
      if (wrapped.provider !== 'key') return null;
      return await firstThatOpens(toCandidates(reference, wrapped), async (version) => {
        const { keyring } = await read(version);
        if (findKey(keyring, wrapped.keyId) === null) return null;
        const { secret, id } = selectKey(keyring, { id: wrapped.keyId, name: reference.text });
        return await createRawKey({ secret, keyId: id }).unwrap(wrapped, backup);
      });
    },
    [Symbol.dispose]: () => {
      for (const started of reads.values()) {
        void started.then(
          ({ keyring }) => keyring[Symbol.dispose](),
          () => {},
        );
      }
    },
  };
}

async function readAndWarn(reference: SecretReference, context: UseCaseContext): Promise<KeyringRead> {
  const read = await readKeyring(reference.text, context);
  warnAll(context, read.warnings);
  return read;
}

/**
 * Which versions of the secret to read: the very one that wrapped, then the newest, which has the same key where it was
 * copied to another place that counts versions anew. The newest keyring has all keys that there ever were.
 */
function toCandidates(
  { takesVersion, version }: SecretReference,
  { keyVersion, keyId }: RawWrappedKey,
): (string | undefined)[] {
  const isVersioned = takesVersion && version === undefined && keyVersion !== undefined && keyVersion !== keyId;
  return isVersioned ? [keyVersion, undefined] : [undefined];
}

/** `null` when none of them is the key that wrapped. A version that cannot be read counts when no other one opens. */
async function firstThatOpens<Opened>(
  versions: readonly (string | undefined)[],
  open: (version: string | undefined) => Promise<Opened | null>,
): Promise<Opened | null> {
  let failure: BackupError | null = null;
  for (const version of versions) {
    try {
      const opened = await open(version);
      if (opened !== null) return opened;
    } catch (error) {
      if (!(error instanceof BackupError) || error.kind !== 'key') throw error;
      failure ??= error;
    }
  }
  if (failure !== null) throw failure;
  return null;
}
