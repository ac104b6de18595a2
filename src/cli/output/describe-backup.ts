import type { DryRun } from '../../backup/create-backup.ts';
import type { CatalogEntry } from '../../catalog/catalog.ts';
import type { EncryptionDescription, Manifest } from '../../catalog/manifest.ts';
import { formatBytes, formatDuration, formatTable } from './format.ts';

/** One line per backup made, or what a dry run decided. */
export function describeCreated(result: Manifest | DryRun): string {
  if ('plan' in result) return describeDryRun(result);
  const { plainBytes, storedBytes } = sumSizes(result);
  const took = formatDuration(Date.parse(result.finishedAt) - Date.parse(result.startedAt));
  return `created ${result.label}/${result.id}: ${formatBytes(plainBytes)} stored as ${formatBytes(storedBytes)} in ${took}`;
}

function describeDryRun({ plan, tool, server }: DryRun): string {
  const lines = [
    `would back up "${server.database}" (PostgreSQL ${server.version}, ${formatBytes(server.sizeBytes)})`,
    `with ${tool.path} ${plan.dump.args.join(' ')}`,
    `to ${plan.objectKey}`,
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
    ['encoding', `${source.encoding}, collate ${source.collate}, ctype ${source.ctype}`],
    ['size', formatBytes(source.sizeBytes)],
    ['format', [dump.format, ...dump.options].join(' ')],
    ['compression', manifest.compression.method],
    ['encryption', describeEncryption(manifest.encryption)],
    ['seal', describeSeal(manifest)],
    ...objects.map((object) => [
      'object',
      `${object.name}: ${formatBytes(object.plainBytes)} stored as ${formatBytes(object.storedBytes)}, SHA-256 ${object.sha256}`,
    ]),
  ];
  return facts.map(([name = '', value = '']) => `${name.padEnd(12)} ${value}`).join('\n');
}

function describeEncryption(encryption: EncryptionDescription): string {
  const openers =
    encryption.method === 'openpgp'
      ? [...encryption.recipients, ...(encryption.passphrase ? ['a passphrase'] : [])]
      : encryption.wrappedKeys.map((key) => (key.provider === 'key' ? `key ${key.keyId}` : 'a passphrase'));
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
