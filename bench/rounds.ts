import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { assertSameDatabase } from '../test/support/database-difference.ts';
import { fingerprintDatabase } from '../test/support/database-fingerprint.ts';
import type { Candidate, Creator } from './candidates.ts';
import { isInMemory } from './memory-folder.ts';
import { measure, type Command, type Measurement } from './measure.ts';
import type { BenchOptions } from './options.ts';
import type { MeasuredCandidate } from './report.ts';
import { median } from './statistics.ts';
import type { Workbench } from './workbench.ts';

const targetName = 'restored';

/** One of the rounds of a candidate. */
interface Run extends Measurement {
  readonly storedBytes: number | null;
  readonly plaintextBytes: number;
  readonly otherWrittenBytes: number;
}

/** Which candidates, and how often. */
type Choice = Pick<BenchOptions, 'only' | 'repetitions'>;

/** Every candidate once per round, the next round beginning with another one. */
async function takeTurns<Item extends { readonly name: string }, Result extends { readonly wallMs: number }>(
  items: readonly Item[],
  { what, rounds }: { readonly what: string; readonly rounds: number },
  run: (item: Item, round: number) => Promise<Result>,
): Promise<Map<Item, Result[]>> {
  const results = new Map<Item, Result[]>(items.map((item) => [item, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const item of rotate(items, round)) {
      const result = await run(item, round + 1);
      results.get(item)?.push(result);
      console.error(`${what} ${round + 1}/${rounds} ${item.name}: ${(result.wallMs / 1000).toFixed(2)} s`);
    }
  }
  return results;
}

function rotate<Item>(items: readonly Item[], by: number): Item[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

/** Backs up with all creators that the options choose. */
export async function measureCreates<Name extends string>(
  bench: Workbench,
  creators: readonly Creator<Name>[],
  { only, repetitions }: Choice,
): Promise<MeasuredCandidate<Name>[]> {
  const chosen = creators.filter(({ name }) => only.test(`create ${name}`));
  const turns = { what: 'create', rounds: repetitions };
  const measured = await takeTurns(chosen, turns, async (creator) => await measureCreate(bench, creator));
  return [...measured].map(([{ name, create }, runs]) => toResult(name, create.title, runs));
}

/**
 * Brings `source` back with all candidates that the options choose. A fast restore of the wrong thing is no restore: what
 * each of our own brings back in the last round is compared with the source.
 */
export async function measureRestores<Name extends string>(
  bench: Workbench,
  { source, candidates }: { readonly source: string; readonly candidates: readonly Candidate<Name>[] },
  { only, repetitions }: Choice,
): Promise<MeasuredCandidate<Name>[]> {
  const chosen = candidates.filter(({ name }) => only.test(`restore ${name}`));
  const expected = chosen.length === 0 ? null : await fingerprintDatabase(bench.cluster, source);
  const turns = { what: 'restore', rounds: repetitions };
  const measured = await takeTurns(chosen, turns, async (candidate, round) => {
    const run = await measureRestore(bench, candidate);
    if (expected !== null && candidate.create.command.isOurs && round === repetitions) {
      assertSameDatabase(await fingerprintDatabase(bench.cluster, targetName), expected);
      console.error(`restore ${candidate.name}: the restored database is identical`);
    }
    return run;
  });
  return [...measured].map(([{ name, restore }, runs]) => toResult(name, restore.title, runs));
}

async function measureCreate(bench: Workbench, creator: Creator<string>): Promise<Run> {
  const { create, output, plaintext, archive } = creator;
  await prepareCreate(bench, creator);
  await settle(bench);
  const before = diskBytes(output);
  const measurement = await measure(create.command, { env: {}, folder: bench.folder });
  const stored = archive === undefined ? sizeOf(output) : null;
  const accounted = diskBytes(output) - before + (plaintext === output ? 0 : diskBytes(plaintext));
  const run = {
    ...measurement,
    storedBytes: stored,
    plaintextBytes: sizeOf(plaintext),
    otherWrittenBytes: Math.max(0, measurement.writtenBytes - accounted),
  };
  if (plaintext !== output) remove(plaintext);
  return run;
}

async function prepareCreate(bench: Workbench, { output, plaintext, prepare }: Creator<string>): Promise<void> {
  remove(output);
  remove(plaintext);
  if (prepare !== undefined) await runUnmeasured(bench, prepare);
}

async function measureRestore(bench: Workbench, candidate: Candidate<string>): Promise<Run> {
  const { create, archive, output, plaintext, restore } = candidate;
  if (!existsSync(output)) {
    await prepareCreate(bench, candidate);
    await runUnmeasured(bench, archive ?? create.command);
  }
  await bench.cluster.dropDatabase(targetName);
  if (restore.makesDatabase !== true) await bench.cluster.createDatabase(targetName);
  await settle(bench);
  const measurement = await measure(restore.command(targetName), { env: {}, folder: bench.folder });
  return {
    ...measurement,
    storedBytes: null,
    plaintextBytes: sizeOf(plaintext),
    otherWrittenBytes: measurement.writtenBytes,
  };
}

export async function runUnmeasured(bench: Workbench, command: Command): Promise<void> {
  await measure(command, { env: {}, folder: bench.folder });
}

/** Writes out what earlier candidates left in memory, so that the next one does not wait for it. */
async function settle(bench: Workbench): Promise<void> {
  await bench.cluster.query('postgres', 'CHECKPOINT');
  execFileSync('sync');
}

function toResult<Name extends string>(name: Name, title: string, runs: readonly Run[]): MeasuredCandidate<Name> {
  const walls = runs.map((run) => run.wallMs);
  return {
    name,
    title,
    wallMs: median(walls),
    fastestMs: Math.min(...walls),
    slowestMs: Math.max(...walls),
    cpuMs: median(runs.map((run) => run.cpuMs)),
    peakMemoryBytes: Math.max(...runs.map((run) => run.peakMemoryBytes)),
    storedBytes: runs.at(-1)?.storedBytes ?? null,
    plaintextBytes: Math.max(...runs.map((run) => run.plaintextBytes)),
    otherWrittenBytes: Math.max(...runs.map((run) => run.otherWrittenBytes)),
  };
}

function remove(path: string | undefined): void {
  if (path !== undefined) rmSync(path, { recursive: true, force: true });
}

/** Bytes of a file or of all files of a folder; 0 where there is none. */
export function sizeOf(path: string | undefined): number {
  if (path === undefined || !existsSync(path)) return 0;
  const stats = lstatSync(path);
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

/** The same for what is on a disk and not in memory. */
function diskBytes(path: string | undefined): number {
  if (path === undefined || !existsSync(path)) return 0;
  return isInMemory(path) ? 0 : sizeOf(path);
}
