import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { archiveName, planBackup, type PlanInput } from '../../src/backup/plan-backup.ts';
import { whyOneStream, type DumpFilters, type DumpRequest } from '../../src/postgres/dump-plan.ts';

const gibibyte = 1024 ** 3;

const custom: DumpRequest = { format: 'custom', filters: {} };
const withArgs = (...extraArgs: string[]): DumpRequest => ({ ...custom, extraArgs });
const withFilters = (filters: DumpFilters): DumpRequest => ({ ...custom, filters });

function plan(changes: Partial<Omit<PlanInput, 'server'>> & { readonly sizeBytes?: number }) {
  const { sizeBytes = 1000, ...others } = changes;
  return planBackup({
    server: {
      version: '15.18',
      major: 15,
      versionNum: 150_018,
      database: 'shop',
      encoding: 'UTF8',
      collate: 'C',
      ctype: 'C',
      sizeBytes,
      inRecovery: false,
      at: new Date(),
    },
    dump: custom,
    compression: { method: 'zstd', level: 1, frameBytes: 4_194_304 },
    cipherExtension: 'aes',
    cores: 8,
    startedAt: new Date('2026-11-23T23:14:05Z'),
    ...others,
  });
}

const divisible: Readonly<Record<string, DumpRequest>> = {
  everything: custom,
  'some schemas and tables': withFilters({
    schemas: ['a'],
    excludeSchemas: ['b'],
    tables: ['c'],
    excludeTables: ['d'],
    excludeTableData: ['e'],
  }),
  'another precision of floats': withFilters({ extraFloatDigits: 0 }),
  'no owners and no privileges': withFilters({ noOwner: true, noPrivileges: true }),
  'a wait for locks': { ...custom, lockWaitTimeout: '5s' },
  'options by their short names': withArgs('-tc', '-Ox', '-n', 'a', '-b'),
  'options by a part of their names': withArgs('--strict', '--no-own'),
};

const indivisible: Readonly<Record<string, readonly [dump: DumpRequest, reason: string]>> = {
  'a plain script': [{ ...custom, format: 'plain' }, '--format plain is one script'],
  '--inserts': [withArgs('--inserts'), '--inserts cannot be divided'],
  '--column-inserts': [withArgs('--column-inserts'), '--column-inserts cannot be divided'],
  '--rows-per-insert': [withArgs('--rows-per-insert=100'), '--rows-per-insert cannot be divided'],
  '--section': [withArgs('--section', 'data'), '--section cannot be divided'],
  '--snapshot': [withArgs('--snapshot=1'), '--snapshot cannot be divided'],
  '--role': [withArgs('--role=me'), '--role cannot be divided'],
  '--encoding': [withArgs('-E', 'LATIN1'), '--encoding cannot be divided'],
  '--enable-row-security': [withArgs('--enable-row-security'), '--enable-row-security cannot be divided'],
  '--load-via-partition-root': [withArgs('--load-via-partition-root'), '--load-via-partition-root cannot be divided'],
  '--disable-triggers': [withArgs('--disable-triggers'), '--disable-triggers cannot be divided'],
  '--schema-only': [withFilters({ schemaOnly: true }), '--schema-only cannot be divided'],
  '--data-only': [withFilters({ dataOnly: true }), '--data-only cannot be divided'],
  'an option nobody knows yet': [withArgs('--from-the-future'), '--from-the-future cannot be divided'],
};

describe('a dump', () => {
  for (const [what, dump] of Object.entries(divisible)) {
    it(`of ${what} can be several streams`, () => assert.equal(whyOneStream(dump), null));
  }
  for (const [what, [dump, reason]] of Object.entries(indivisible)) {
    it(`with ${what} can be one stream only`, () => assert.equal(whyOneStream(dump), reason));
  }
});

describe('the number of streams', () => {
  it('is what was asked for, whatever the size', () => {
    for (const jobs of [1, 2, 32]) assert.equal(plan({ jobs }).jobs, jobs);
    assert.equal(plan({ jobs: 3, sizeBytes: 100 * gibibyte, cores: 1 }).jobs, 3);
  });

  it('is one for a small database, and as many as there are cores, but at most four, for a large one', () => {
    assert.equal(plan({ sizeBytes: gibibyte - 1 }).jobs, 1);
    assert.equal(plan({ sizeBytes: gibibyte, cores: 2 }).jobs, 2);
    assert.equal(plan({ sizeBytes: gibibyte, cores: 1 }).jobs, 1);
    assert.equal(plan({ sizeBytes: 100 * gibibyte, cores: 64 }).jobs, 4);
  });

  for (const [what, [dump, reason]] of Object.entries(indivisible)) {
    it(`of a dump with ${what} is one, and more are refused`, () => {
      assert.equal(plan({ dump, sizeBytes: 100 * gibibyte }).jobs, 1);
      assert.equal(plan({ dump, jobs: 1 }).jobs, 1);
      assert.throws(() => plan({ dump, jobs: 2 }), {
        kind: 'usage',
        message: `this dump cannot be several streams: ${reason}`,
        hint: 'Leave --jobs out.',
      });
    });
  }

  it('does not change the name of the one object', () => {
    assert.equal(archiveName(plan({})), 'archive.dump.zst.aes');
    assert.equal(archiveName(plan({ dump: { ...custom, format: 'plain' } })), 'archive.sql.zst.aes');
  });
});
