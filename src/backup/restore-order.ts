import type { Contents } from '../catalog/contents.ts';
import type { ManifestObject } from '../catalog/manifest.ts';

type Table = Contents['tables'][number];

/** To build an index takes about twice as long as to load as many bytes of rows. */
const indexWeight = 2;

/** Bytes whose rows would take as long as the table with its indexes. */
export function weightOf({ sizeBytes, indexBytes }: Table): number {
  return sizeBytes + indexWeight * indexBytes;
}

/**
 * The order in which objects with rows are best loaded: first those of the table that takes longest with its indexes,
 * one after another, so that its indexes can be begun while other rows are loaded. An object counts at least its own
 * bytes: it may have the rows of many tables.
 */
export function orderForRestore(objects: readonly ManifestObject[], { tables }: Contents): ManifestObject[] {
  const weights = new Map<string, number>();
  for (const table of tables) {
    for (const { object } of table.parts) {
      weights.set(object, Math.max(weights.get(object) ?? 0, weightOf(table)));
    }
  }
  const weigh = ({ name, plainBytes }: ManifestObject) => Math.max(weights.get(name) ?? 0, plainBytes);
  return objects.toSorted((a, b) => weigh(b) - weigh(a) || (a.name < b.name ? -1 : 1));
}

/** Knows which tables are complete once an object was loaded. */
export class TablesUnderWay {
  readonly #missing: ReadonlyMap<Table, Set<string>>;

  constructor({ tables }: Contents) {
    this.#missing = new Map(tables.map((table) => [table, new Set(table.parts.map(({ object }) => object))]));
  }

  /** Notes that an object was loaded, and gives the tables whose last rows those were. */
  completedBy(object: string): Table[] {
    return [...this.#missing].flatMap(([table, missing]) =>
      missing.delete(object) && missing.size === 0 ? [table] : [],
    );
  }
}
