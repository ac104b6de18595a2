/** A table whose rows can be copied apart from the dump, by what a server says of it. */
export interface DataTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** In their order, without generated ones. */
  readonly columns: readonly string[];
  /** Blocks of the table itself. */
  readonly blocks: number;
  /** Of the table and its TOAST table. */
  readonly sizeBytes: number;
  /** Of its indexes. */
  readonly indexBytes: number;
  /** Whether a range of blocks can be read without reading the others. */
  readonly canSplit: boolean;
}

/** Rows of one table that go into one object: all of them, or those in a range of blocks. */
export interface TablePart {
  readonly table: DataTable;
  /** `end`: the block after the last one; `null`: to the end of the table, whatever it is by then. */
  readonly blocks: { readonly start: number; readonly end: number | null } | null;
}

/** What one COPY stream takes. */
export interface StreamUnit {
  readonly parts: readonly TablePart[];
  /** What its tables take on the server. */
  readonly sizeBytes: number;
}

/** What runs side by side: units in the order in which they are to be begun. */
export interface StreamPlan {
  readonly jobs: number;
  readonly units: readonly StreamUnit[];
}

const mebibyte = 1024 * 1024;
/** A smaller table costs more as a unit than it takes; many of them share one. */
const smallestUnitBytes = 2 * mebibyte;
/** Tables below it stay with the rest: each one named costs pg_dump a query and an argument. */
const smallestTableBytes = mebibyte / 4;
/** What fits into the arguments of a program, with room to spare. */
const maxTables = 5_000;
const maxTablesPerUnit = 200;
/** Units for each job: enough that all are busy to the end, and few enough that starting them costs little. */
const unitsPerJob = 6;

/**
 * Divides `tables` among streams: a queue of units of about the same size, the largest first, so that no job is idle
 * while another has much left. A table that is larger than a unit is split into ranges of blocks; small ones share a
 * unit. Tables that are in no unit are left to whoever dumps the rest.
 */
export function planStreams(tables: readonly DataTable[], jobs: number): StreamPlan {
  const bySize = tables
    .filter(({ sizeBytes, columns }) => sizeBytes >= smallestTableBytes && columns.length > 0)
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes || compareNames(a, b))
    .slice(0, maxTables);
  const totalBytes = bySize.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const unitBytes = Math.max(smallestUnitBytes, totalBytes / (jobs * unitsPerJob));
  const large = bySize.filter(({ sizeBytes }) => sizeBytes >= unitBytes);
  const units = [...large.flatMap((table) => split(table, unitBytes)), ...share(bySize.slice(large.length), unitBytes)];
  return { jobs, units: units.toSorted((a, b) => b.sizeBytes - a.sizeBytes) };
}

/** The same input gives the same plan. */
function compareNames(a: DataTable, b: DataTable): number {
  const [left, right] = [JSON.stringify([a.schema, a.name]), JSON.stringify([b.schema, b.name])];
  return left < right ? -1 : 1;
}

function split(table: DataTable, unitBytes: number): StreamUnit[] {
  const count = table.canSplit ? Math.min(Math.round(table.sizeBytes / unitBytes), table.blocks) : 1;
  if (count <= 1) return [{ parts: [{ table, blocks: null }], sizeBytes: table.sizeBytes }];
  return Array.from({ length: count }, (_, index) => {
    const start = Math.floor((table.blocks * index) / count);
    const end = index === count - 1 ? null : Math.floor((table.blocks * (index + 1)) / count);
    return { parts: [{ table, blocks: { start, end } }], sizeBytes: table.sizeBytes / count };
  });
}

function share(tables: readonly DataTable[], unitBytes: number): StreamUnit[] {
  const units: { parts: TablePart[]; sizeBytes: number }[] = [];
  for (const table of tables) {
    const last = units.at(-1);
    const fits =
      last !== undefined && last.sizeBytes + table.sizeBytes <= unitBytes && last.parts.length < maxTablesPerUnit;
    const unit = fits ? last : { parts: [], sizeBytes: 0 };
    if (!fits) units.push(unit);
    unit.parts.push({ table, blocks: null });
    unit.sizeBytes += table.sizeBytes;
  }
  return units;
}
