import { BackupError } from '../core/backup-error.ts';
import { readArgument } from './dump-options.ts';
import { quoteIdentifier } from './quote.ts';

export type DumpFormat = 'custom' | 'plain';

/** pg_dump's own filters; names and patterns as pg_dump takes them. */
export interface DumpFilters {
  readonly schemas?: readonly string[] | undefined;
  readonly excludeSchemas?: readonly string[] | undefined;
  readonly tables?: readonly string[] | undefined;
  readonly excludeTables?: readonly string[] | undefined;
  readonly excludeTableData?: readonly string[] | undefined;
  readonly schemaOnly?: boolean | undefined;
  readonly dataOnly?: boolean | undefined;
  readonly extraFloatDigits?: number | undefined;
  readonly noOwner?: boolean | undefined;
  readonly noPrivileges?: boolean | undefined;
}

export interface DumpRequest {
  readonly format: DumpFormat;
  readonly filters: DumpFilters;
  /** Passed on to pg_dump as they are. */
  readonly extraArgs?: readonly string[] | undefined;
  /** How long pg_dump may wait for its table locks, e.g. `30s`; for ever by default. */
  readonly lockWaitTimeout?: string | undefined;
}

export interface DumpPlan {
  readonly format: DumpFormat;
  readonly args: readonly string[];
  /** Names of the options that chose what is dumped, for the manifest: values are names, and names are data. */
  readonly options: readonly string[];
}

/** What would break the pipeline, and why. */
const refusedOptions: Readonly<Record<string, string>> = {
  file: 'the dump goes to the store',
  format: 'use --format',
  jobs: 'a dump to a pipe is one stream',
  compress: 'the dump is compressed afterwards',
  dbname: 'use --database',
  host: 'use --database',
  port: 'use --database',
  username: 'use --database',
  password: 'nobody is there to type it',
  help: 'nothing would be dumped',
  version: 'nothing would be dumped',
  create: 'a restore chooses its own database',
};

/** The arguments of pg_dump, connection excepted. Fails with `usage` on arguments that would break the pipeline. */
export function planPgDump(request: DumpRequest): DumpPlan {
  const { filters, extraArgs = [], lockWaitTimeout } = request;
  if (filters.schemaOnly === true && filters.dataOnly === true) {
    throw new BackupError('usage', '--schema-only and --data-only exclude each other');
  }
  const filterArgs = toFilterArgs(filters);
  const args = [
    `--format=${request.format}`,
    // Its own gzip is five times slower than what comes after it, and compressed data does not compress again.
    '--compress=0',
    '--no-password',
    ...(lockWaitTimeout === undefined ? [] : [`--lock-wait-timeout=${lockWaitTimeout}`]),
    ...filterArgs,
    ...extraArgs,
  ];
  const options = [...readOptions(filterArgs), ...readOptions(extraArgs)];
  return { format: request.format, args, options: [...new Set(options)] };
}

/** Options that mean the same to several pg_dumps side by side and to COPY. */
const sharedOptions: ReadonlySet<string> = new Set([
  '--schema',
  '--exclude-schema',
  '--table',
  '--table-and-children',
  '--exclude-table',
  '--exclude-table-and-children',
  '--exclude-table-data',
  '--exclude-table-data-and-children',
  '--extension',
  '--exclude-extension',
  '--filter',
  '--strict-names',
  '--include-foreign-data',
  '--blobs',
  '--large-objects',
  '--no-blobs',
  '--no-large-objects',
  '--lock-wait-timeout',
  '--no-owner',
  '--no-privileges',
  '--no-acl',
  '--no-comments',
  '--no-policies',
  '--no-publications',
  '--no-subscriptions',
  '--no-security-labels',
  '--no-table-access-method',
  '--no-tablespaces',
  '--no-toast-compression',
  '--no-unlogged-table-data',
  '--quote-all-identifiers',
  '--verbose',
]);

/** Why this dump can be one stream only; `null`: it can be several. */
export function whyOneStream(request: DumpRequest): string | null {
  if (request.format === 'plain') return '--format plain is one script';
  const { extraFloatDigits: _, ...filters } = request.filters;
  const { options } = planPgDump({ ...request, filters });
  const unshared = options.find((option) => !sharedOptions.has(option));
  return unshared === undefined ? null : `${unshared} cannot be divided`;
}

export interface SectionChoice {
  readonly snapshotId: string;
  readonly sections: readonly ('pre-data' | 'data' | 'post-data')[];
  /** Tables whose rows are dumped elsewhere. */
  readonly tablesWithoutRows?: readonly { readonly schema: string; readonly name: string }[];
}

/**
 * How long one of several streams may wait for its table locks: somebody may stand in front of it who waits for those of
 * the snapshot's session, which waits for the stream. That must end; but who gives up soon must not end the backup.
 */
export function streamLockTimeout({ lockWaitTimeout }: DumpRequest): string {
  return lockWaitTimeout ?? '60s';
}

/** The same dump, but only these sections of it, as a snapshot sees them. */
export function planSections(request: DumpRequest, choice: SectionChoice): DumpPlan {
  const { tablesWithoutRows = [] } = choice;
  const plan = planPgDump({ ...request, lockWaitTimeout: streamLockTimeout(request) });
  const args = [
    ...plan.args,
    `--snapshot=${choice.snapshotId}`,
    ...choice.sections.map((section) => `--section=${section}`),
    ...tablesWithoutRows.map(
      ({ schema, name }) => `--exclude-table-data=${quoteIdentifier(schema)}.${quoteIdentifier(name)}`,
    ),
  ];
  return { ...plan, args };
}

/** One argument per option (`--table=…`), so that no value can be taken for another option. */
function toFilterArgs(filters: DumpFilters): string[] {
  return [
    ...each('schema', filters.schemas),
    ...each('exclude-schema', filters.excludeSchemas),
    ...each('table', filters.tables),
    ...each('exclude-table', filters.excludeTables),
    ...each('exclude-table-data', filters.excludeTableData),
    ...flag('schema-only', filters.schemaOnly),
    ...flag('data-only', filters.dataOnly),
    ...(filters.extraFloatDigits === undefined ? [] : [`--extra-float-digits=${filters.extraFloatDigits}`]),
    ...flag('no-owner', filters.noOwner),
    ...flag('no-privileges', filters.noPrivileges),
  ];
}

function each(name: string, values: readonly string[] = []): string[] {
  return values.map((value) => `--${name}=${value}`);
}

function flag(name: string, isSet: boolean | undefined): string[] {
  return isSet === true ? [`--${name}`] : [];
}

/** The names of the options in `args`, in order. Fails with `usage` on one that would break the pipeline. */
function readOptions(args: readonly string[]): string[] {
  const found: string[] = [];
  let isValue = false;
  for (const argument of args) {
    if (isValue) {
      isValue = false;
      continue;
    }
    const read = readArgument(argument);
    if (read.kind === 'positional') {
      throw new BackupError('usage', `"${argument}" is not an option of pg_dump`, {
        hint: 'Name the database with --database.',
      });
    }
    for (const meaning of read.meanings) refuse(meaning);
    found.push(...read.names.map((name) => (name.length === 1 ? `-${name}` : `--${name}`)));
    isValue = read.takesNext;
  }
  return found;
}

function refuse(name: string): void {
  const reason = Object.hasOwn(refusedOptions, name) ? refusedOptions[name] : undefined;
  if (reason !== undefined) throw new BackupError('usage', `pg_dump option --${name} cannot be used here: ${reason}`);
}
