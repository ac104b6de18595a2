import type { KeyVersion } from '../keys/key-admin.ts';
import { openKeyAdmin } from '../keys/open-key-admin.ts';
import { audited } from './audited.ts';
import { ageInDays, judgeAge, type KeyAge, type RotationPolicy } from './key-age.ts';
import {
  isUseOf,
  opens,
  opensAlone,
  providerOf,
  readOpenableBackups,
  type BackupQuery,
  type KeyProvider,
  type OpenableBackup,
  type ProvidedKey,
} from './key-uses.ts';
import { parseAudited } from './parse-audited.ts';
import { readPublicContentOf } from './read-secrets.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface ListKeysRequest extends Omit<BackupQuery, 'signal'> {
  /** References of keys. */
  readonly keys: readonly string[];
  /** References of OpenPGP certificates. */
  readonly recipients: readonly string[];
  readonly policy: Pick<RotationPolicy, 'maxAgeDays'>;
}

/** One version of a key. */
export interface ListedKey {
  /** `null`: backups name it, and none of the references does. */
  readonly reference: string | null;
  readonly provider: KeyProvider | 'passphrase';
  readonly keyId: string | null;
  readonly version: string | null;
  readonly state: KeyVersion['state'] | 'unknown';
  /** ISO 8601. */
  readonly createdAt: string | null;
  readonly ageDays: number | null;
  /** Of an active key: whether the rotation policy wants another one. */
  readonly age: KeyAge;
  /** Backups that it opens; `null` when its id can no longer be known. */
  readonly backups: number | null;
  /** How many of them nothing else opens. */
  readonly onlyKeyOf: number | null;
}

/** Every version of the keys, and what the backups of the stores need them for. Errors: `config`, `key`, of the stores. */
export async function listKeys(request: ListKeysRequest, context: UseCaseContext): Promise<readonly ListedKey[]> {
  const { backups } = await readOpenableBackups({ ...request, signal: context.signal });
  const known = [
    ...(await flatMap(request.keys, async (reference) => await readVersions(reference, context))),
    ...(await flatMap(request.recipients, async (reference) => await readCertificateVersions(reference, context))),
  ];
  const now = context.now();
  const listed = known.map((key) => describeKnown(key, backups, { policy: request.policy, now }));
  return [...listed, ...describeUnknown(known, backups)];
}

interface KnownKey extends ProvidedKey {
  readonly reference: string;
}

async function flatMap<Item, Result>(
  items: readonly Item[],
  read: (item: Item) => Promise<readonly Result[]>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(...(await read(item)));
  return results;
}

async function readVersions(text: string, context: UseCaseContext): Promise<readonly KnownKey[]> {
  const reference = await parseAudited({ reference: text, purpose: 'list', context });
  const provider = providerOf(reference);
  using admin = await openKeyAdmin(reference, context);
  const versions = await audited({ action: 'key-access', context }, async (subject) => {
    subject.key = { source: text, purpose: 'list' };
    return await admin.list();
  });
  return versions.map((version) => ({ reference: text, provider, version }));
}

/** As old as the key that would encrypt: a new subkey is a rotated key. */
async function readCertificateVersions(name: string, context: UseCaseContext): Promise<readonly KnownKey[]> {
  const { readCertificates } = await import('../crypto/openpgp-certificates.ts');
  const certificates = await readCertificates(await readPublicContentOf(name, context), { name, now: context.now() });
  return certificates.map(({ fingerprint, createdAt }) => {
    const version = { keyId: fingerprint, createdAt, state: 'active' } as const;
    return { reference: name, provider: 'openpgp', version };
  });
}

function describeKnown(
  known: KnownKey,
  backups: readonly OpenableBackup[],
  { policy, now }: Pick<ListKeysRequest, 'policy'> & { readonly now: Date },
): ListedKey {
  const { reference, provider, version } = known;
  const { createdAt, keyId, state } = version;
  return {
    reference,
    provider,
    keyId,
    version: version.version ?? null,
    state,
    createdAt: createdAt?.toISOString() ?? null,
    ageDays: createdAt === null ? null : ageInDays(createdAt, now),
    age: state === 'active' ? judgeAge(createdAt, policy, now) : 'unknown',
    backups: keyId === null ? null : backups.filter((backup) => opens(known, backup)).length,
    onlyKeyOf: keyId === null ? null : backups.filter((backup) => opensAlone(known, backup)).length,
  };
}

const unnamed = { reference: null, state: 'unknown', createdAt: null, ageDays: null, age: 'unknown' } as const;

/** Keys that backups name and that nobody has named here, by their names. Passphrases cannot be told apart. */
function describeUnknown(known: readonly KnownKey[], backups: readonly OpenableBackup[]): ListedKey[] {
  const unknown = new Map<string, ListedKey & { readonly backups: number; readonly onlyKeyOf: number }>();
  for (const { keys } of backups) {
    for (const used of keys) {
      if (known.some((key) => isUseOf(used, key))) continue;
      const { provider, keyId = null, keyVersion: version = null } = used;
      const name = JSON.stringify([provider, keyId, version]);
      const { backups: count, onlyKeyOf } = unknown.get(name) ?? { backups: 0, onlyKeyOf: 0 };
      unknown.set(name, {
        ...unnamed,
        provider,
        keyId,
        version,
        backups: count + 1,
        onlyKeyOf: onlyKeyOf + Number(keys.length === 1),
      });
    }
  }
  return [...unknown.entries()].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, key]) => key);
}
