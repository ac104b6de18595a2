import { BackupError } from '../core/backup-error.ts';
import type { KeyWrapper } from '../core/key-wrapper.ts';
import { createRawKey } from '../crypto/raw-key.ts';
import { readKeyEncryptionKey } from '../keys/read-key-encryption-key.ts';
import { isSecret, parseKeyReference, withVersion, type SecretReference } from '../keys/secret-reference.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

/**
 * What `--key` names: a raw key in a secret, or a key that stays in its service. Each is asked for when a backup needs it.
 * Errors: `config`.
 */
export async function openKey(text: string, context: UseCaseContext): Promise<KeyWrapper> {
  const reference = parseKeyReference(text);
  if (isSecret(reference)) return createSecretKey(reference, context);
  const { openKeyWrapper } = await import('../keys/open-key-wrapper.ts');
  return await openKeyWrapper(reference, context);
}

/** A raw key in a secret, of which the source may keep several versions: each is read once. */
function createSecretKey(reference: SecretReference, context: UseCaseContext): KeyWrapper {
  const reads = new Map<string, Promise<KeyWrapper>>();
  const read = async (version?: string): Promise<KeyWrapper> => {
    const wanted = version === undefined ? reference : withVersion(reference, version);
    const started = reads.get(wanted.text) ?? readAndWarn(wanted, context);
    reads.set(wanted.text, started);
    return await started;
  };
  return {
    name: reference.text,
    wrap: async (dataKey, backup) => await (await read()).wrap(dataKey, backup),
    unwrap: async (wrapped, backup) => {
      if (wrapped.provider !== 'key') return null;
      return await firstThatOpens(toCandidates(reference, wrapped.keyVersion), async (version) => {
        const key = await read(version);
        return await key.unwrap(wrapped, backup);
      });
    },
    [Symbol.dispose]: () => {
      for (const started of reads.values()) {
        void started.then(
          (key) => key[Symbol.dispose](),
          () => {},
        );
      }
    },
  };
}

async function readAndWarn(reference: SecretReference, context: UseCaseContext): Promise<KeyWrapper> {
  const read = await readKeyEncryptionKey(reference.text, context);
  warnAll(context, read.warnings);
  return createRawKey(read);
}

/**
 * Which versions to read: the very one that wrapped, then the newest, which has the same key where it was copied to
 * another place that counts versions anew.
 */
function toCandidates({ takesVersion, version }: SecretReference, wanted: string | undefined): (string | undefined)[] {
  return takesVersion && version === undefined && wanted !== undefined ? [wanted, undefined] : [undefined];
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
