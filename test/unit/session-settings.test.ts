import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chooseSettings } from '../../src/backup/session-settings.ts';

/** What a server gives when nobody has set anything. */
const usual = { memoryMegabytes: 64, workers: 2, maxWorkers: 8, arrayNulls: true };
const one = { jobs: 1, isStaged: false };

describe('the settings of sessions that restore', () => {
  for (const [what, given, plan, expected] of [
    [
      'memory and workers for one session',
      {},
      one,
      ['maintenance_work_mem=256MB', 'max_parallel_maintenance_workers=3'],
    ],
    ['memory alone for several', {}, { ...one, jobs: 2 }, ['maintenance_work_mem=256MB']],
    ['a share of memory for many', {}, { ...one, jobs: 8 }, ['maintenance_work_mem=128MB']],
    ['no share that is less than the server gives', {}, { ...one, jobs: 32 }, []],
    ['nothing where the server gives more', { memoryMegabytes: 2048, workers: 6 }, one, []],
    ['no worker where the server gives none', { workers: 0, memoryMegabytes: 256 }, one, []],
    [
      'no more workers than there can be',
      { memoryMegabytes: 256, workers: 1, maxWorkers: 2 },
      one,
      ['max_parallel_maintenance_workers=2'],
    ],
    ['NULL within arrays', { memoryMegabytes: 2048, workers: 6, arrayNulls: false }, one, ['array_nulls=on']],
    ['no fewer workers than the server gives', { memoryMegabytes: 256, workers: 2, maxWorkers: 1 }, one, []],
    [
      'no wait for the disk in a database without its name',
      { memoryMegabytes: 256 },
      { jobs: 4, isStaged: true },
      ['synchronous_commit=off'],
    ],
  ] as const) {
    it(`are ${what}`, () => assert.deepEqual(chooseSettings({ ...usual, ...given }, plan), expected));
  }
});
