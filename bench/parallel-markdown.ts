import { gigabytes, paragraphs, seconds, table } from './format.ts';
import type { ParallelName } from './parallel-candidates.ts';
import { showPlot, speedUps } from './plots.ts';
import type { BenchReport, Measured, MeasuredCandidate, Parallel, Scaling } from './report.ts';
import { streamCounts } from './scaling.ts';

/** Several streams, beside other tools. */
export function parallelSection(report: BenchReport, { result }: Measured<Parallel>): string {
  const { create, restore } = result;
  const introduction = `## Several streams

The mixed database again: ${gigabytes(result.dumpBytes)} as \`pg_dump -Fd -Z0\` writes it, ${gigabytes(result.databaseBytes)} by \`pg_database_size\`.
Rounds: ${result.repetitions}. \`pg_dump -Fd\` has the fastest compression that it knows. Our restores make their database first and
check every byte; what each brought back was compared with the source. pgBackRest copies the files of the whole server,
without the log that a restore of them needs.

- **CPU** and **memory** as above.
- **plaintext on disk**: size of the unencrypted dump that lay on a file system, a tmpfs too; on restore that of the dump that
  was read.
- **other writes**: what the processes wrote to disks beside that dump and what is stored, as the kernel counts it: deleted
  files too (restic makes its encrypted packs in temporary files), a tmpfs not.`;
  return paragraphs(
    introduction,
    '### Create in several streams',
    parallelTable({ results: create, comparedWith: 'directory-2', dumpBytes: result.dumpBytes }),
    showPlot(report, 'parallel-create'),
    '### Restore in several streams',
    parallelTable({ results: restore, comparedWith: 'uncompressed-2', dumpBytes: result.dumpBytes }),
    showPlot(report, 'parallel-restore'),
  );
}

interface ParallelRows {
  readonly results: readonly MeasuredCandidate<ParallelName>[];
  readonly comparedWith: ParallelName;
  readonly dumpBytes: number;
}

function parallelTable({ results, comparedWith, dumpBytes }: ParallelRows): string {
  const other = results.find(({ name }) => name === comparedWith);
  const rows = results.map((result) => [
    result.title,
    `${seconds(result.wallMs)} s (${seconds(result.fastestMs)}–${seconds(result.slowestMs)})`,
    other === undefined ? '' : `${(result.wallMs / other.wallMs).toFixed(2)} ×`,
    `${seconds(result.cpuMs)} s`,
    `${(result.cpuMs / 1e3 / (dumpBytes / 1e9)).toFixed(1)} s`,
    `${Math.round(result.peakMemoryBytes / 1e6)} MB`,
    result.storedBytes === null ? '' : gigabytes(result.storedBytes),
    result.plaintextBytes === 0 ? '0' : gigabytes(result.plaintextBytes),
    `${(result.otherWrittenBytes / 1e6).toFixed(1)} MB`,
  ]);
  const ratio = other === undefined ? 'ratio' : `to ${other.title}`;
  return table(['', 'wall', ratio, 'CPU', 'CPU per GB', 'memory', 'stored', 'plaintext on disk', 'other writes'], rows);
}

/** More and more streams behind a slow link. */
export function scalingSection(report: BenchReport, { result: scaling }: Measured<Scaling>): string {
  const { megabytes, latencyMs, bytesPerSecond } = scaling;
  const rows = streamCounts.map((streams) => [
    String(streams),
    ...(['create', 'restore'] as const).flatMap((direction) => {
      const wallMs = scaling[direction].find(({ name }) => name === `streams-${streams}`)?.wallMs;
      const times = new Map(speedUps(scaling, direction)).get(streams);
      return [wallMs === undefined ? '' : `${seconds(wallMs)} s`, times === undefined ? '' : `${times.toFixed(2)} ×`];
    }),
  ]);
  const introduction = `## Several streams behind a slow link

About ${megabytes} MB of dump in 32 tables, AES-256, into a folder and back. Everything between us and PostgreSQL goes through a
proxy in a process of its own that adds ${latencyMs} ms to every round trip and lets each connection have ${bytesPerSecond / 1e6} MB/s in each direction:
streams, not cores, are the limit. One round.`;
  return paragraphs(
    introduction,
    table(['streams', 'create', 'as fast', 'restore', 'as fast'], rows),
    showPlot(report, 'scaling'),
  );
}
