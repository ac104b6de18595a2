/** One option of pg_dump, for reading what the user passes on verbatim. */
interface DumpOption {
  readonly short?: string;
  readonly takesValue: boolean;
}

const flag = (short?: string): DumpOption => ({ ...(short !== undefined && { short }), takesValue: false });
const valued = (short?: string): DumpOption => ({ ...(short !== undefined && { short }), takesValue: true });

/** pg_dump's options up to version 18 (manual, "pg_dump"). */
const dumpOptions: Readonly<Record<string, DumpOption>> = {
  'attribute-inserts': flag(),
  'binary-upgrade': flag(),
  blobs: flag('b'),
  clean: flag('c'),
  'column-inserts': flag(),
  compress: valued('Z'),
  create: flag('C'),
  'data-only': flag('a'),
  dbname: valued('d'),
  'disable-dollar-quoting': flag(),
  'disable-triggers': flag(),
  'enable-row-security': flag(),
  encoding: valued('E'),
  'exclude-extension': valued(),
  'exclude-schema': valued('N'),
  'exclude-table': valued('T'),
  'exclude-table-and-children': valued(),
  'exclude-table-data': valued(),
  'exclude-table-data-and-children': valued(),
  extension: valued('e'),
  'extra-float-digits': valued(),
  file: valued('f'),
  filter: valued(),
  format: valued('F'),
  help: flag('?'),
  host: valued('h'),
  'if-exists': flag(),
  'include-foreign-data': valued(),
  inserts: flag(),
  jobs: valued('j'),
  'large-objects': flag(),
  'load-via-partition-root': flag(),
  'lock-wait-timeout': valued(),
  'no-blobs': flag('B'),
  'no-comments': flag(),
  'no-data': flag(),
  'no-large-objects': flag(),
  'no-owner': flag('O'),
  'no-password': flag('w'),
  'no-policies': flag(),
  'no-privileges': flag('x'),
  'no-acl': flag(),
  'no-publications': flag(),
  'no-reconnect': flag('R'),
  'no-schema': flag(),
  'no-security-labels': flag(),
  'no-statistics': flag(),
  'no-subscriptions': flag(),
  'no-sync': flag(),
  'no-synchronized-snapshots': flag(),
  'no-table-access-method': flag(),
  'no-tablespaces': flag(),
  'no-toast-compression': flag(),
  'no-unlogged-table-data': flag(),
  'on-conflict-do-nothing': flag(),
  password: flag('W'),
  port: valued('p'),
  'quote-all-identifiers': flag(),
  'restrict-key': valued(),
  role: valued(),
  'rows-per-insert': valued(),
  schema: valued('n'),
  'schema-only': flag('s'),
  section: valued(),
  'sequence-data': flag(),
  'serializable-deferrable': flag(),
  snapshot: valued(),
  statistics: flag(),
  'statistics-only': flag(),
  'strict-names': flag(),
  superuser: valued('S'),
  'sync-method': valued(),
  table: valued('t'),
  'table-and-children': valued(),
  'use-set-session-authorization': flag(),
  username: valued('U'),
  verbose: flag('v'),
  version: flag('V'),
  'with-data': flag(),
  'with-schema': flag(),
  'with-statistics': flag(),
};

const longByShort = new Map(
  Object.entries(dumpOptions).flatMap(([long, { short }]) => (short === undefined ? [] : [[short, long] as const])),
);

/** One argument, read as getopt_long reads it. */
export type ReadArgument =
  | {
      readonly kind: 'option';
      /** Long names, or what was given where the meaning is unknown or depends on the version. */
      readonly names: readonly string[];
      /** Everything that it means to some version of pg_dump. */
      readonly meanings: readonly string[];
      readonly takesNext: boolean;
    }
  | { readonly kind: 'positional' };

/**
 * Reads `argument`: an option, by its long names, without its value; or something that is no option. Unknown options
 * keep the name they have; pg_dump knows better than we do.
 */
export function readArgument(argument: string): ReadArgument {
  if (argument === '-' || argument === '--' || !argument.startsWith('-')) return { kind: 'positional' };
  return argument.startsWith('--') ? readLong(argument.slice(2)) : readShorts(argument.slice(1));
}

/** getopt_long takes every beginning of a name that is the beginning of one name only. */
function readLong(text: string): ReadArgument {
  const equals = text.indexOf('=');
  const given = equals === -1 ? text : text.slice(0, equals);
  const isExact = Object.hasOwn(dumpOptions, given);
  const meanings = isExact ? [given] : Object.keys(dumpOptions).filter((name) => name.startsWith(given));
  const name = meanings.length === 1 ? (meanings[0] ?? given) : given;
  const takesNext = equals === -1 && (dumpOptions[name]?.takesValue ?? true);
  return { kind: 'option', names: [name], meanings, takesNext };
}

/** Several flags may stand together (`-Ox`); the first option with a value takes the rest of the argument. */
function readShorts(text: string): ReadArgument {
  const names: string[] = [];
  for (let rest = text; rest !== ''; rest = rest.slice(1)) {
    const short = rest.charAt(0);
    const long = longByShort.get(short);
    names.push(long ?? short);
    if (long !== undefined && dumpOptions[long]?.takesValue === true) {
      return { kind: 'option', names, meanings: names, takesNext: rest.length === 1 };
    }
  }
  return { kind: 'option', names, meanings: names, takesNext: false };
}
