import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { planStreams, type DataTable, type StreamPlan, type TablePart } from '../../src/postgres/stream-plan.ts';

const mebibyte = 1024 * 1024;
const blockBytes = 8192;
const smallestTableBytes = mebibyte / 4;
const smallestUnitBytes = 2 * mebibyte;

function table(oid: number, sizeBytes: number, traits: Partial<DataTable> = {}): DataTable {
  const blocks = Math.floor(sizeBytes / blockBytes);
  return {
    oid,
    schema: 'public',
    name: `t${oid}`,
    columns: ['id'],
    blocks,
    sizeBytes,
    indexBytes: 0,
    canSplit: true,
    ...traits,
  };
}

/** Many sizes, most of them small, some beyond a unit; some cannot be split, some have no columns, some are all TOAST. */
const someTables = fc
  .array(
    fc.record({
      sizeBytes: fc.oneof(
        fc.integer({ min: 0, max: 4 * mebibyte }),
        fc.integer({ min: 0, max: 200 * mebibyte }),
        fc.integer({ min: 0, max: 100_000 }).map((size) => size * mebibyte),
      ),
      canSplit: fc.boolean(),
      hasColumns: fc.integer({ min: 0, max: 9 }).map((number) => number > 0),
      toastShare: fc.constantFrom(0, 0.5, 1),
    }),
    { maxLength: 300, size: 'max' },
  )
  .map((drafts) =>
    drafts.map(({ sizeBytes, canSplit, hasColumns, toastShare }, index) => {
      const blocks = Math.floor((sizeBytes * (1 - toastShare)) / blockBytes);
      return table(index + 1, sizeBytes, { canSplit, blocks, columns: hasColumns ? ['id'] : [] });
    }),
  );
const someJobs = fc.integer({ min: 1, max: 64 });

function partsOf({ units }: StreamPlan): TablePart[] {
  return units.flatMap(({ parts }) => parts);
}

/** The parts of each table, in the order of their blocks. */
function partsByTable(plan: StreamPlan): Map<DataTable, TablePart[]> {
  const byTable = Map.groupBy(partsOf(plan), (part) => part.table);
  for (const parts of byTable.values()) parts.sort((a, b) => (a.blocks?.start ?? 0) - (b.blocks?.start ?? 0));
  return byTable;
}

const forAnyPlan = (check: (plan: StreamPlan, tables: readonly DataTable[], jobs: number) => void) => () => {
  fc.assert(fc.property(someTables, someJobs, (tables, jobs) => check(planStreams(tables, jobs), tables, jobs)));
};

describe('planning streams', () => {
  it(
    'puts each table that is large enough into a unit, and no other',
    forAnyPlan((plan, tables) => {
      const wanted = tables.filter(({ sizeBytes, columns }) => sizeBytes >= smallestTableBytes && columns.length > 0);
      assert.deepEqual(new Set(partsByTable(plan).keys()), new Set(wanted));
    }),
  );

  it(
    'covers each table once: whole, or in ranges without a gap and without an overlap, the last of which is open',
    forAnyPlan((plan) => {
      for (const [{ blocks, canSplit }, parts] of partsByTable(plan)) {
        const ranges = parts.flatMap((part) => part.blocks ?? []);
        if (ranges.length === 0) {
          assert.equal(parts.length, 1);
          continue;
        }
        assert.equal(canSplit, true);
        assert.equal(ranges.length, parts.length);
        assert.equal(ranges[0]?.start, 0);
        for (const [index, { start, end }] of ranges.entries()) {
          assert.equal(end, ranges[index + 1]?.start ?? null);
          assert.ok(start < (end ?? blocks), 'an empty range');
        }
      }
    }),
  );

  it(
    'makes units of about one size: only what cannot be divided is more than half as large again',
    forAnyPlan((plan, _, jobs) => {
      const total = plan.units.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      const unitBytes = Math.max(smallestUnitBytes, total / (jobs * 6));
      for (const { parts, sizeBytes } of plan.units) {
        const [first] = parts;
        assert.ok(first !== undefined);
        const { canSplit, blocks } = first.table;
        const isIndivisible = parts.length === 1 && (!canSplit || blocks < first.table.sizeBytes / unitBytes);
        assert.ok(isIndivisible || sizeBytes <= unitBytes * 1.5, `${sizeBytes} of ${unitBytes}`);
      }
    }),
  );

  it(
    'counts every byte once',
    forAnyPlan((plan) => {
      const ofUnits = plan.units.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      const ofTables = [...partsByTable(plan).keys()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      assert.ok(Math.abs(ofUnits - ofTables) <= ofTables * 1e-9);
    }),
  );

  it(
    'begins with the largest unit',
    forAnyPlan(({ units }) => {
      const sizes = units.map(({ sizeBytes }) => sizeBytes);
      assert.deepEqual(
        sizes,
        sizes.toSorted((a, b) => b - a),
      );
    }),
  );

  it(
    'has few units for each job, and few tables in each unit',
    forAnyPlan(({ units }, tables, jobs) => {
      const indivisible = tables.filter(({ canSplit }) => !canSplit).length;
      assert.ok(units.length <= 2 * (jobs * 6 + 1) + indivisible, `${units.length} units`);
      for (const { parts } of units) assert.ok(parts.length >= 1 && parts.length <= 200);
    }),
  );

  it(
    'does not depend on the order in which the server names the tables',
    forAnyPlan((plan, tables, jobs) => {
      assert.deepEqual(planStreams(tables.toReversed(), jobs), plan);
    }),
  );

  it(
    'never has two parts of one table in one unit',
    forAnyPlan(({ units }) => {
      for (const { parts } of units) assert.equal(new Set(parts.map((part) => part.table)).size, parts.length);
    }),
  );

  it('leaves an empty database to the rest', () => {
    assert.deepEqual(planStreams([], 4), { jobs: 4, units: [] });
  });

  it('splits one large table among all jobs', () => {
    const { units } = planStreams([table(1, 1024 * mebibyte)], 4);
    assert.equal(units.length, 24);
    assert.deepEqual(
      units
        .map(({ parts }) => parts[0]?.blocks?.start)
        .toSorted((a, b) => (a ?? 0) - (b ?? 0))
        .slice(0, 3),
      [0, 5461, 10_922],
    );
  });

  it('does not split what would take longer to divide than to copy', () => {
    const { units } = planStreams([table(1, 2.5 * mebibyte)], 8);
    assert.deepEqual(
      units.map(({ parts }) => parts.map(({ blocks }) => blocks)),
      [[null]],
    );
  });

  it('puts at most 200 tables into a unit', () => {
    const tables = Array.from({ length: 450 }, (_, index) => table(index + 1, mebibyte));
    const counts = planStreams(tables, 1).units.map(({ parts }) => parts.length);
    assert.equal(Math.max(...counts), 75);
    const fewer = planStreams([...tables, table(1000, 100_000 * mebibyte, { canSplit: false })], 1);
    assert.equal(Math.max(...fewer.units.map(({ parts }) => parts.length)), 200);
  });

  it('names at most 5,000 tables, the largest', () => {
    const tables = Array.from({ length: 5100 }, (_, index) => table(index + 1, mebibyte + index));
    const planned = partsOf(planStreams(tables, 4)).map((part) => part.table.oid);
    assert.equal(planned.length, 5000);
    assert.equal(Math.min(...planned), 101);
  });
});
