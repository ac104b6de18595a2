import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planPgDump, type DumpFilters } from '../../src/postgres/dump-plan.ts';
import { planPgRestore } from '../../src/postgres/restore-plan.ts';

const plan = (filters: DumpFilters, extraArgs: readonly string[] = []) =>
  planPgDump({ format: 'custom', filters, extraArgs });

describe('planning pg_dump', () => {
  it('dumps everything, uncompressed, and asks nobody', () => {
    assert.deepEqual(plan({}), {
      format: 'custom',
      args: ['--format=custom', '--compress=0', '--no-password'],
      options: [],
    });
  });

  it('passes every filter on, and tells the manifest their names only', () => {
    const { args, options } = plan({
      schemas: ['a', '-b'],
      excludeSchemas: ['c'],
      tables: ['d.*'],
      excludeTables: ['e'],
      excludeTableData: ['f'],
      schemaOnly: true,
      extraFloatDigits: 3,
      noOwner: true,
      noPrivileges: true,
    });
    assert.deepEqual(args.slice(3), [
      '--schema=a',
      '--schema=-b',
      '--exclude-schema=c',
      '--table=d.*',
      '--exclude-table=e',
      '--exclude-table-data=f',
      '--schema-only',
      '--extra-float-digits=3',
      '--no-owner',
      '--no-privileges',
    ]);
    assert.deepEqual(options, [
      '--schema',
      '--exclude-schema',
      '--table',
      '--exclude-table',
      '--exclude-table-data',
      '--schema-only',
      '--extra-float-digits',
      '--no-owner',
      '--no-privileges',
    ]);
  });

  it('limits the wait for locks', () => {
    const { args, options } = planPgDump({ format: 'plain', filters: {}, lockWaitTimeout: '30s' });
    assert.deepEqual(args, ['--format=plain', '--compress=0', '--no-password', '--lock-wait-timeout=30s']);
    assert.deepEqual(options, []);
  });

  it('refuses schema only and data only at once', () => {
    assert.throws(() => plan({ schemaOnly: true, dataOnly: true }), { kind: 'usage' });
  });

  for (const [extra, options] of [
    [['--no-comments'], ['--no-comments']],
    [['-t', 'secret'], ['--table']],
    [
      ['-tsecret', '-Oxn', 'secret'],
      ['--table', '--no-owner', '--no-privileges', '--schema'],
    ],
    [
      ['--role=secret', '--section', 'secret'],
      ['--role', '--section'],
    ],
    [['--exclude-table-d=secret'], ['--exclude-table-d']],
    [['--strict'], ['--strict-names']],
    [['--from-the-future', 'secret'], ['--from-the-future']],
    [['-t', '-f'], ['--table']],
  ] as const) {
    it(`passes ${extra.join(' ')} on as it is`, () => {
      const planned = plan({}, extra);
      assert.deepEqual(planned.args.slice(3), extra);
      assert.deepEqual(planned.options, options);
    });
  }

  for (const extra of [
    ['-f', 'x'],
    ['-fx'],
    ['--file=x'],
    ['--fil=x'],
    ['-Fp'],
    ['--format', 'p'],
    ['--fo=p'],
    ['-j4'],
    ['--jobs=4'],
    ['-Z9'],
    ['--compress=9'],
    ['-vZ9'],
    ['-d', 'x'],
    ['-h', 'x'],
    ['-p1'],
    ['-Ux'],
    ['-W'],
    ['--password'],
    ['-OC'],
    ['--create'],
    ['-V'],
    ['-?'],
    ['--help'],
    ['shop'],
    ['--no-owner', 'shop'],
    ['-t', 'x', 'shop'],
    ['--', 'shop'],
    [''],
  ]) {
    it(`refuses ${JSON.stringify(extra)}`, () => assert.throws(() => plan({}, extra), { kind: 'usage' }));
  }
});

describe('planning pg_restore', () => {
  it('restores everything by default', () => assert.deepEqual(planPgRestore({}), { args: [], isSelective: false }));

  it('demands that what was named is there', () => {
    assert.deepEqual(planPgRestore({ schemas: ['a'], tables: ['b', 'c'] }), {
      args: ['--schema=a', '--table=b', '--table=c', '--strict-names'],
      isSelective: true,
    });
  });

  it('drops what is there before, if it is there', () => {
    const { args } = planPgRestore({ noOwner: true, noPrivileges: true });
    assert.deepEqual(args, ['--no-owner', '--no-privileges']);
  });
});
