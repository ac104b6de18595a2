import type { CreatedBackup, DryRun } from '../../backup/create-backup.ts';
import { archiveName } from '../../backup/plan-backup.ts';
import { objectKey, type CatalogEntry } from '../../catalog/catalog.ts';
import type { EncryptionDescription, Manifest, ManifestObject } from '../../catalog/manifest.ts';
import { describeKey, identifyKey } from '../../core/key-identity.ts';
import type { ObjectLock } from '../../core/object-lock.ts';
import type { ServerEncryption } from '../../core/server-encryption.ts';
import { formatBytes, formatDuration, formatTable } from './format.ts';

/** One line per backup made and store that has it, or what a dry run decided. */
export function describeCreated(result: CreatedBackup | DryRun): string {
  if ('plan' in result) return describeDryRun(result);
  const { copies } = result;
  return copies
    .map(({ store, manifest }) => describeCopy(manifest, copies.length > 1 ? ` in ${store}` : ''))
    .join('\n');
}

function describeCopy(manifest: Manifest, place: string): string {
  const { plainBytes, storedBytes } = sumSizes(manifest);
  const took = formatDuration(Date.parse(manifest.finishedAt) - Date.parse(manifest.startedAt));
  const sizes = `${formatBytes(plainBytes)} stored as ${formatBytes(storedBytes)}`;
  return `created ${manifest.label}/${manifest.id}${place}: ${sizes} in ${took}`;
}

function describeDryRun({ plan, streams, tool, server }: DryRun): string {
  const name = streams === null ? archiveName(plan) : '';
  const lines = [
    `would back up "${server.database}" (PostgreSQL ${server.version}, ${formatBytes(server.sizeBytes)})`,
    `with ${tool.path} ${plan.dump.args.join(' ')}`,
    `to ${objectKey(plan, name)}${streams === null ? '' : ` in ${streams.units.length + 3} objects, ${streams.jobs} at once`}`,
  ];
  return lines.join('\n');
}

/** A table of backups, oldest first. */
export function describeList(entries: readonly CatalogEntry[]): string {
  if (entries.length === 0) return 'no backups';
  return formatTable([['LABEL', 'ID', 'DUMP', 'STORED', 'ENCRYPTION', 'SERVER'], ...entries.map(describeRow)]);
}

function describeRow({ label, id, manifest, problem }: CatalogEntry): string[] {
  if (problem !== null) return [label, id, '-', '-', 'DAMAGED', problem.message];
  const { plainBytes, storedBytes } = sumSizes(manifest);
  const { method } = manifest.encryption;
  return [label, id, formatBytes(plainBytes), formatBytes(storedBytes), method, manifest.source.serverVersion];
}

/** Everything a manifest says, for people. */
export function describeManifest(manifest: Manifest): string {
  const { source, dump, objects } = manifest;
  const facts = [
    ['backup', `${manifest.label}/${manifest.id}`],
    ['started', manifest.startedAt],
    ['finished', manifest.finishedAt],
    ['made by', `${manifest.tool.name} ${manifest.tool.version}, pg_dump ${dump.clientVersion}`],
    ['database', `"${source.database}" on PostgreSQL ${source.serverVersion}${source.inRecovery ? ' (standby)' : ''}`],
    ['encoding', describeLocale(source)],
    ['size', formatBytes(source.sizeBytes)],
    ['format', [dump.format, ...dump.options].join(' ')],
    ['compression', manifest.compression.method],
    ['encryption', describeEncryption(manifest.encryption)],
    ...describeRevision(manifest),
    ['seal', describeSeal(manifest)],
    ...objects.flatMap(describeObject),
  ];
  return facts.map(([name = '', value = '']) => `${name.padEnd(12)} ${value}`).join('\n');
}

function describeLocale({ encoding, collate, ctype, localeProvider, locale }: Manifest['source']): string {
  const provider = localeProvider === undefined ? '' : `, ${localeProvider} locale ${locale ?? ''}`;
  return `${encoding}, collate ${collate}, ctype ${ctype}${provider}`;
}

function describeRevision({ revision, rewrappedAt }: Manifest): [string, string][] {
  return revision === undefined ? [] : [['revision', `${revision}, wrapped anew ${rewrappedAt ?? ''}`.trimEnd()]];
}

function describeObject(object: ManifestObject): [string, string][] {
  const { name, plainBytes, storedBytes, sha256, serverEncryption, lock } = object;
  const sizes = `${formatBytes(plainBytes)} stored as ${formatBytes(storedBytes)}`;
  return [
    ['object', `${name}: ${sizes}, SHA-256 ${sha256}`],
    ['at rest', describeServerEncryption(serverEncryption)],
    ...(lock === undefined ? [] : [['lock', describeLock(lock)] satisfies [string, string]]),
  ];
}

function describeServerEncryption(encryption: ServerEncryption | undefined): string {
  if (encryption === undefined) return 'the store said nothing of encryption of its own';
  const { method, ...facts } = encryption;
  return [method, ...Object.entries(facts).map(([name, value]) => `${name} ${value}`)].join(', ');
}

function describeLock({ retention, legalHold }: ObjectLock): string {
  const parts = [
    ...(retention === undefined ? [] : [`${retention.mode} until ${retention.until}`]),
    ...(legalHold ? ['legal hold'] : []),
  ];
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function describeEncryption(encryption: EncryptionDescription): string {
  const openers =
    encryption.method === 'openpgp'
      ? [...encryption.recipients, ...(encryption.passphrase ? ['a passphrase'] : [])]
      : encryption.wrappedKeys.map((wrapped) => describeKey(identifyKey(wrapped)));
  return `${encryption.method}, opened by ${openers.join(' or ')}`;
}

function describeSeal({ seal }: Manifest): string {
  if (seal === null) return 'none: whoever can write to the store could have made this backup';
  return seal.method === 'hmac-sha-256' ? "HMAC under the backup's key" : `signed by ${seal.signer}`;
}

function sumSizes({ objects }: Manifest): { plainBytes: number; storedBytes: number } {
  return {
    plainBytes: objects.reduce((sum, object) => sum + object.plainBytes, 0),
    storedBytes: objects.reduce((sum, object) => sum + object.storedBytes, 0),
  };
}
