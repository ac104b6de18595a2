import { Command } from 'commander';
import type { Archive } from '../../backup/archive.ts';
import { audited } from '../../backup/audited.ts';
import type { TargetMode } from '../../backup/target-database.ts';
import type { Manifest } from '../../catalog/manifest.ts';
import { BackupError } from '../../core/backup-error.ts';
import { parseDuration } from '../../core/duration.ts';
import type { CommandContext } from '../context.ts';
import { formatBytes } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { showProgress } from '../output/progress.ts';
import {
  addOptions,
  type AuditOptions,
  type CommonOptions,
  type KeyOptions,
  type SelectOptions,
} from '../option-groups.ts';
import { listOption, option, parseJobs } from '../options.ts';
import { readConnection } from '../read-connection.ts';
import { runWith, toDecryptionRequest } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStore } from '../with-store.ts';
import { toSelector, toSubject } from '../select-backup.ts';
import { writeArchive } from '../write-archive.ts';

interface RestoreOptions extends CommonOptions, AuditOptions, StoreOptions, SelectOptions, KeyOptions {
  readonly at?: string;
  readonly fromFile?: string;
  readonly target?: string;
  readonly databasePassword?: string;
  readonly output?: string;
  readonly list?: boolean;
  readonly createDb?: boolean;
  readonly swap?: boolean;
  readonly jobs?: number;
  readonly fast?: boolean;
  readonly clean?: boolean;
  readonly schema?: readonly string[];
  readonly table?: readonly string[];
  readonly owner: boolean;
  readonly privileges: boolean;
  readonly stallTimeout: string;
  readonly pgBin?: string;
}

export function restoreCommand(output: Output): Command {
  const command = new Command('restore')
    .argument('[id]', 'id of the backup, or latest')
    .addOption(option('--at <time>', 'the newest backup that started at or before this time'))
    .addOption(option('--from-file <file>', 'restore a file of an old script (gpg or openssl enc) instead of a backup'))
    .addOption(option('--target <url>', 'database to restore into'))
    .addOption(option('--database-password <ref>', 'password of that database, before PGPASSWORD and password files'))
    .addOption(option('-o, --output <file>', 'write the dump to a file, or - for standard output'))
    .addOption(option('-l, --list', 'print the table of contents'))
    .addOption(option('--create-db', 'make the target database first'))
    .addOption(option('--swap', 'restore beside the target database, then take its place; it stays under another name'))
    .addOption(option('-j, --jobs <n>', 'sessions side by side; by default by size and cores').argParser(parseJobs))
    .addOption(option('--fast', 'load rows frozen, into a database that the restore makes, with several jobs'))
    .addOption(option('--clean', 'drop everything the target has first; a failure leaves it as it was'))
    .addOption(listOption('-n, --schema <name>', 'only this schema'))
    .addOption(listOption('-t, --table <name>', 'only this table'))
    .addOption(option('--no-owner', 'leave owners out'))
    .addOption(option('--no-privileges', 'leave GRANT and REVOKE out'))
    .addOption(option('--stall-timeout <time>', 'give up when the store is silent for so long').default('15m'))
    .addOption(option('--pg-bin <folder>', "where PostgreSQL's client tools are"));
  addOptions(command, 'store', 'select', 'keys', 'audit', 'common');
  return runWith<RestoreOptions>({ command, output }, runRestore);
}

async function runRestore(options: RestoreOptions, context: CommandContext, args: readonly string[]): Promise<void> {
  checkDestination(options);
  if (options.output === '-') context.output.refuseSharing();
  const keys = toDecryptionRequest(options);
  const event = { action: options.target === undefined ? 'decrypt' : 'restore', context } as const;
  const { fromFile } = options;
  if (fromFile !== undefined) {
    const { openForeignArchive } = await import('../../backup/foreign-archive.ts');
    await audited(event, async (subject) => {
      subject.backup = { store: fromFile };
      await restoreArchive(await openForeignArchive(fromFile, keys, context), null, { options, context });
    });
    return;
  }
  const { openBackup } = await import('../../backup/open-backup.ts');
  const selector = toSelector(args[0], options);
  await withStore({ options, context }, async (store) => {
    await audited(event, async (subject) => {
      subject.backup = toSubject(selector, store);
      using backup = await openBackup({ store, selector, keys, binDir: options.pgBin }, context);
      subject.backup = { ...nameOf(backup.manifest), store: store.url };
      await restoreArchive(backup.archive, backup.manifest, { options, context });
    });
  });
}

/** Exactly one of three: silence about where a restore goes must not become a guess. */
function checkDestination({ target, output, list, schema = [], table = [] }: RestoreOptions): void {
  const given = [target !== undefined, output !== undefined, list === true].filter(Boolean).length;
  if (given === 1 && target === undefined && schema.length + table.length > 0) {
    throw new BackupError('usage', '--schema and --table are for a restore into a database', {
      hint: 'Say --target URL, or leave them out.',
    });
  }
  if (given === 1) return;
  throw new BackupError('usage', given === 0 ? 'no destination given' : 'more than one destination given', {
    hint: 'Say one of --target URL, --output FILE or --list.',
  });
}

interface Invocation {
  readonly options: RestoreOptions;
  readonly context: CommandContext;
}

async function restoreArchive(archive: Archive, manifest: Manifest | null, invocation: Invocation): Promise<void> {
  const { options, context } = invocation;
  if (options.list === true) {
    const { listContents } = await import('../../backup/list-archive.ts');
    const contents = await listContents(archive, options.pgBin, context);
    context.output.result({ contents }, contents.trimEnd());
    return;
  }
  if (options.output === undefined) return await restoreToTarget(archive, manifest, invocation);
  const { plainBytes } = await writeArchive(archive, options.output, context);
  if (options.output === '-') return;
  const document = { backup: nameOf(manifest), output: options.output, plainBytes };
  context.output.result(document, `wrote ${formatBytes(plainBytes)} of dump to ${options.output}`);
}

async function restoreToTarget(archive: Archive, manifest: Manifest | null, invocation: Invocation): Promise<void> {
  const { options, context } = invocation;
  const { restoreToDatabase } = await import('../../backup/restore-to-database.ts');
  using progress = new DisposableStack();
  let phase = 'restoring';
  const expectedBytes = manifest?.objects.reduce((sum, object) => sum + object.plainBytes, 0);
  const report = await restoreToDatabase(
    archive,
    {
      connection: await readConnection({ database: options.target, password: options.databasePassword }, context),
      mode: toMode(options),
      jobs: options.jobs,
      isFast: options.fast === true,
      options: {
        schemas: options.schema ?? [],
        tables: options.table ?? [],
        noOwner: !options.owner,
        noPrivileges: !options.privileges,
      },
      clean: options.clean === true,
      binDir: options.pgBin,
      stallTimeoutMs: parseDuration(options.stallTimeout),
      onPhase: (next) => (phase = next),
      onStart: (meter) => {
        progress.use(showProgress(context.output.streams.stderr, { what: () => phase, meter, expectedBytes }));
      },
    },
    context,
  );
  progress.dispose();
  const document = { backup: nameOf(manifest), ...report };
  const before = report.formerName === null ? '' : `; the database before it is now "${report.formerName}"`;
  context.output.result(document, `restored ${formatBytes(report.plainBytes)} of dump into ${report.target}${before}`);
}

/** Each of them says where the rows are to be; two would contradict each other. */
function toMode({ createDb, swap, clean }: RestoreOptions): TargetMode {
  const chosen = Object.entries({ '--create-db': createDb, '--swap': swap, '--clean': clean }).filter(([, is]) => is);
  if (chosen.length > 1) {
    throw new BackupError('usage', `${chosen.map(([flag]) => flag).join(' and ')} exclude each other`);
  }
  if (swap === true) return 'swap';
  return createDb === true ? 'create' : 'existing';
}

function nameOf(manifest: Manifest | null): { label: string; id: string } | null {
  return manifest && { label: manifest.label, id: manifest.id };
}
