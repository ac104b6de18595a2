import { Command } from 'commander';
import type { CreatedBackup, DryRun } from '../../backup/create-backup.ts';
import type { CreateRequest } from '../../backup/create-run.ts';
import type { EncryptionRequest } from '../../backup/open-encryption.ts';
import type { DumpFilters } from '../../postgres/dump-plan.ts';
import { BackupError } from '../../core/backup-error.ts';
import { parseCompression } from '../../core/compression.ts';
import { parseDuration } from '../../core/duration.ts';
import type { CommandContext } from '../context.ts';
import { toReportable } from '../failure.ts';
import { describeCreated } from '../output/describe-backup.ts';
import { toErrorDocument, type Output } from '../output/output.ts';
import { showProgress } from '../output/progress.ts';
import { addOptions, type AuditOptions, type CommonOptions, type RotationOptions } from '../option-groups.ts';
import { listOption, option, parseCount, parseJobs } from '../options.ts';
import { readConnection } from '../read-connection.ts';
import { runWith } from '../run-command.ts';
import type { StoreOptions, UploadOptions } from '../store-options.ts';
import { withStores } from '../with-store.ts';

interface CreateOptions extends CommonOptions, AuditOptions, RotationOptions, StoreOptions, UploadOptions {
  readonly database?: readonly string[];
  readonly databasePassword?: string;
  readonly label?: string;
  readonly encrypt?: 'openpgp' | 'aes-256';
  readonly recipient?: readonly string[];
  readonly hiddenRecipient?: readonly string[];
  readonly recipientKey?: readonly string[];
  readonly key?: readonly string[];
  readonly passphrase?: string;
  readonly signingKey?: string;
  readonly signingKeyPassphrase?: string;
  readonly compress: string;
  readonly format: 'custom' | 'plain';
  readonly jobs?: number;
  readonly schema?: readonly string[];
  readonly excludeSchema?: readonly string[];
  readonly table?: readonly string[];
  readonly excludeTable?: readonly string[];
  readonly excludeTableData?: readonly string[];
  readonly schemaOnly?: boolean;
  readonly dataOnly?: boolean;
  readonly extraFloatDigits?: number;
  readonly lockWaitTimeout?: string;
  readonly stallTimeout: string;
  readonly pgBin?: string;
  readonly rotationOverdue: 'warn' | 'fail';
  readonly allowPartial?: boolean;
  readonly dryRun?: boolean;
}

export function createCommand(output: Output): Command {
  const command = new Command('create')
    .argument('[pg-dump-arguments...]', 'after --: given to pg_dump as they are')
    .addOption(listOption('-d, --database <url|name>', 'database to back up; PG* variables by default'))
    .addOption(option('--database-password <ref>', 'password of the database, before PGPASSWORD and password files'))
    .addOption(option('--label <name>', 'folder of the database in the store; its name by default'))
    .addOption(option('--encrypt <method>', 'how to encrypt').choices(['openpgp', 'aes-256']))
    .addOption(listOption('--recipient <ref>', 'OpenPGP certificates or keyring: file:PATH or env:NAME'))
    .addOption(listOption('--hidden-recipient <ref>', 'the same, whom neither objects nor manifest name'))
    .addOption(listOption('--recipient-key <fingerprint[!]>', 'of these certificates only; with ! that very subkey'))
    .addOption(listOption('--key <ref>', 'AES-256 key: file:PATH or env:NAME'))
    .addOption(option('--passphrase <ref>', 'passphrase that opens the backup: file:PATH or env:NAME'))
    .addOption(option('--signing-key <ref>', 'OpenPGP private key that signs the manifest'))
    .addOption(option('--signing-key-passphrase <ref>', 'passphrase of the signing key'))
    .addOption(option('--compress <method[:level]>', 'zstd, gzip or none').default('zstd'))
    .addOption(option('--format <format>', 'what pg_dump writes').choices(['custom', 'plain']).default('custom'))
    .addOption(option('-j, --jobs <n>', 'streams side by side; by default by size and cores').argParser(parseJobs))
    .addOption(listOption('-n, --schema <pattern>', 'only these schemas'))
    .addOption(listOption('-N, --exclude-schema <pattern>', 'not these schemas'))
    .addOption(listOption('-t, --table <pattern>', 'only these tables'))
    .addOption(listOption('-T, --exclude-table <pattern>', 'not these tables'))
    .addOption(listOption('--exclude-table-data <pattern>', 'these tables without their rows'))
    .addOption(option('--schema-only', 'no rows'))
    .addOption(option('--data-only', 'rows only'))
    .addOption(option('--extra-float-digits <n>', "override pg_dump's float precision").argParser(parseCount))
    .addOption(option('--lock-wait-timeout <time>', "give up on a table's lock after so long"))
    .addOption(option('--stall-timeout <time>', 'give up when pg_dump is silent for so long').default('1h'))
    .addOption(option('--pg-bin <folder>', "where PostgreSQL's client tools are"))
    .addOption(
      option('--rotation-overdue <what>', 'for a key older than that').choices(['warn', 'fail']).default('warn'),
    )
    .addOption(option('--allow-partial', 'go on without a store that fails, and end with exit code 60'))
    .addOption(option('--dry-run', 'connect and plan, write nothing'));
  addOptions(command, 'store', 'upload', 'rotation', 'audit', 'common');
  return runWith<CreateOptions>({ command, output }, runCreate);
}

/** One database's outcome; `database` is `null` for the one that PG* variables name. */
type Outcome = { readonly database: string | null } & (
  | { readonly result: CreatedBackup | DryRun; readonly error: null }
  | { readonly result: null; readonly error: BackupError }
);

async function runCreate(options: CreateOptions, context: CommandContext, args: readonly string[]): Promise<void> {
  const encryption = toEncryptionRequest(options);
  const settings = { ...toSettings(options, args), encryption, password: options.databasePassword };
  await withStores({ options, context }, async (stores) => {
    const outcomes: Outcome[] = [];
    for (const database of options.database ?? [null]) {
      outcomes.push(await createOne(database, { ...settings, stores }, context));
      if (context.signal.aborted) break;
    }
    conclude(outcomes, context.output);
  });
}

async function createOne(
  database: string | null,
  { password, ...settings }: Omit<CreateRequest, 'connection'> & { readonly password: string | undefined },
  context: CommandContext,
): Promise<Outcome> {
  const { createBackup } = await import('../../backup/create-backup.ts');
  using progress = new DisposableStack();
  const onStart: CreateRequest['onStart'] = (meter, server) => {
    progress.use(
      showProgress(context.output.streams.stderr, {
        what: () => server.database,
        meter,
        expectedBytes: server.sizeBytes,
      }),
    );
  };
  try {
    const connection = await readConnection({ database: database ?? undefined, password }, context);
    return { database, result: await createBackup({ ...settings, connection, onStart }, context), error: null };
  } catch (error) {
    return { database, result: null, error: toReportable(error) };
  }
}

/** One failure alone is the command's failure; some among several databases or stores are `partial`. */
function conclude(outcomes: readonly Outcome[], output: Output): void {
  const results = outcomes.flatMap(({ result }) => (result === null ? [] : [result]));
  const [failure] = outcomes.flatMap(({ error }) => error ?? []);
  if (failure !== undefined && outcomes.length === 1) throw failure;
  const failures = outcomes.flatMap(listFailures);
  const text = results.map(describeCreated).join('\n');
  const documents = failures.map((failed) => ({ ...failed, error: toErrorDocument(failed.error) }));
  const backups = results.flatMap(toDocuments);
  output.result(failures.length === 0 ? { backups } : { backups, failures: documents }, text);
  for (const { error } of failures) output.failure(error);
  if (failures.length === 0) return;
  if (failure !== undefined && results.length === 0) throw failure;
  throw new BackupError('partial', describePartial(outcomes));
}

interface Failure {
  readonly database: string | null;
  /** The store that failed while others went on; `null`: the whole backup failed. */
  readonly store: string | null;
  readonly error: BackupError;
}

function listFailures({ database, result, error }: Outcome): Failure[] {
  if (error !== null) return [{ database, store: null, error }];
  if ('plan' in result) return [];
  return result.failed.map((failed) => ({ database, store: failed.store.url, error: failed.error }));
}

function toDocuments(result: CreatedBackup | DryRun): readonly object[] {
  return 'plan' in result ? [result] : result.copies.map(({ store, manifest }) => ({ ...manifest, store }));
}

function describePartial(outcomes: readonly Outcome[]): string {
  const failed = outcomes.filter(({ error }) => error !== null).length;
  if (failed > 0) return `${failed} of ${outcomes.length} databases failed`;
  return 'some stores failed; the backup is in the others';
}

function toEncryptionRequest(options: CreateOptions): EncryptionRequest {
  const { passphrase, recipient: recipients = [], key: keys = [], signingKey, signingKeyPassphrase } = options;
  const { hiddenRecipient: hiddenRecipients, recipientKey: recipientKeys } = options;
  const method = options.encrypt ?? guessMethod(options);
  if (method === 'openpgp' && keys.length > 0) throw misplaced('--key', 'AES-256');
  if (method === 'openpgp') {
    return { method, recipients, hiddenRecipients, recipientKeys, passphrase, signingKey, signingKeyPassphrase };
  }
  const forOpenPgp = {
    '--recipient': recipients,
    '--hidden-recipient': hiddenRecipients,
    '--recipient-key': recipientKeys,
    '--signing-key': signingKey,
  };
  for (const [flag, value] of Object.entries(forOpenPgp)) {
    if (value !== undefined && value.length > 0) throw misplaced(flag, 'OpenPGP');
  }
  return { method, keys, passphrase };
}

/** The kind of key says what is meant; a passphrase fits both. */
function guessMethod({ recipient = [], hiddenRecipient = [], key = [] }: CreateOptions): EncryptionRequest['method'] {
  const recipients = recipient.length + hiddenRecipient.length;
  if (recipients > 0 && key.length === 0) return 'openpgp';
  if (key.length > 0 && recipients === 0) return 'aes-256';
  throw new BackupError('usage', 'it is not clear how to encrypt', {
    hint: 'Say --encrypt openpgp with --recipient file:PATH, or --encrypt aes-256 with --key file:PATH.',
  });
}

function misplaced(flag: string, method: string): BackupError {
  return new BackupError('usage', `${flag} is for ${method}`, { hint: 'Choose one kind of encryption.' });
}

function toSettings(
  options: CreateOptions,
  args: readonly string[],
): Omit<CreateRequest, 'connection' | 'stores' | 'encryption'> {
  return {
    label: options.label,
    dump: {
      format: options.format,
      filters: toFilters(options),
      extraArgs: args,
      lockWaitTimeout: options.lockWaitTimeout,
    },
    jobs: options.jobs,
    compression: parseCompression(options.compress),
    binDir: options.pgBin,
    stallTimeoutMs: parseDuration(options.stallTimeout),
    rotation: { maxAgeDays: options.rotationMaxAgeDays, overdue: options.rotationOverdue },
    allowPartial: options.allowPartial === true,
    isDryRun: options.dryRun === true,
  };
}

function toFilters(options: CreateOptions): DumpFilters {
  return {
    schemas: options.schema,
    excludeSchemas: options.excludeSchema,
    tables: options.table,
    excludeTables: options.excludeTable,
    excludeTableData: options.excludeTableData,
    schemaOnly: options.schemaOnly,
    dataOnly: options.dataOnly,
    extraFloatDigits: options.extraFloatDigits,
  };
}
