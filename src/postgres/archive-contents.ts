import type { TableName } from './snapshot.ts';

/** An entry of an archive's table of contents, as far as it can be restored on its own. */
export interface ArchiveEntry {
  /** What `pg_restore --use-list` knows it by. */
  readonly id: number;
  readonly type: 'TABLE' | 'INDEX' | 'CONSTRAINT' | 'COMMENT' | 'other';
  /** Schema, name and owner, with a space between them. */
  readonly label: string;
  /** Ids of the entries that have to be restored before it. */
  readonly dependsOn: ReadonlySet<number>;
}

const tableCatalog = '1259';
const constraintCatalog = '2606';
/** Of what is in none itself. */
const noCatalog = '0';
/** Names may have anything but newlines, which pg_restore replaces; what JavaScript takes for the end of a line, too. */
const entryLine = /^(\d+); (\d+) \d+ (.+)$/s;
const dependsLine = /^;\tdepends on: ([\d ]+)$/;
const countLine = /^; +TOC Entries: (\d+)$/m;

/**
 * Reads what `pg_restore --list --verbose` prints of a whole archive. `null` unless that is as many entries as it says:
 * what is missing here would be missing in a restore by these ids.
 */
export function parseArchiveContents(text: string): ArchiveEntry[] | null {
  const entries: (ArchiveEntry & { readonly dependsOn: Set<number> })[] = [];
  for (const line of text.split('\n')) {
    const [, ids = ''] = dependsLine.exec(line) ?? [];
    for (const [id] of ids.matchAll(/\d+/g)) entries.at(-1)?.dependsOn.add(Number(id));
    const [, id, catalog = '', description = ''] = entryLine.exec(line) ?? [];
    if (id !== undefined) entries.push({ id: Number(id), ...describe(catalog, description), dependsOn: new Set() });
  }
  const count = countLine.exec(text)?.[1];
  return entries.length === Number(count) ? entries : null;
}

/** By catalog too: `TABLE DATA` and `TABLE ATTACH`, which are in none, could also be tables of a schema of such a name. */
function describe(catalog: string, description: string): Pick<ArchiveEntry, 'type' | 'label'> {
  const [word = ''] = description.split(' ', 1);
  const label = description.slice(word.length + 1);
  if (catalog === tableCatalog && (word === 'TABLE' || word === 'INDEX')) return { type: word, label };
  if (catalog === constraintCatalog && word === 'CONSTRAINT') return { type: word, label };
  if (catalog === noCatalog && word === 'COMMENT') return { type: word, label };
  return { type: 'other', label };
}

/**
 * The entries - indexes, and the constraints that are indexes - that need nothing but the rows of `table`: no function,
 * which could read other tables; each with the comments on it. None where it cannot be said for sure which entry the
 * table itself is.
 */
export function indexesOf(table: TableName, entries: readonly ArchiveEntry[]): number[][] {
  const prefix = `${table.schema} ${table.name} `;
  const [own, ...others] = entries.filter(({ type, label }) => type === 'TABLE' && label.startsWith(prefix));
  if (own === undefined || others.length > 0) return [];
  return entries
    .filter(({ type, dependsOn }) => (type === 'INDEX' || type === 'CONSTRAINT') && isOnly(dependsOn, own.id))
    .map(({ id }) => [id, ...commentsOn(id, entries)]);
}

/** To pg_restore, a comment is in the section of what is in front of it: without its index, it could be left out. */
function commentsOn(commented: number, entries: readonly ArchiveEntry[]): number[] {
  return entries
    .filter(({ type, dependsOn }) => type === 'COMMENT' && isOnly(dependsOn, commented))
    .map(({ id }) => id);
}

function isOnly(ids: ReadonlySet<number>, id: number): boolean {
  return ids.size === 1 && ids.has(id);
}
