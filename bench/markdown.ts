import { gigabytes, paragraphs, seconds, table } from './format.ts';
import { parallelSection, scalingSection } from './parallel-markdown.ts';
import type {
  BenchReport,
  CandidateResult,
  KeysResult,
  Measured,
  MemoryResult,
  StartupResult,
  StorageResult,
  Throughput,
  UploadResult,
} from './report.ts';
import { showPlot } from './plots.ts';
import { latencyMs, type StorageName } from './storage.ts';
import { checkTargets, find } from './targets.ts';
import { serverSettings } from './workbench.ts';

/** The whole report as docs/benchmarks.md keeps it. */
export function toMarkdown(report: BenchReport): string {
  const text = paragraphs(
    introduction,
    machineSection(report),
    targetSection(report),
    report.throughput === undefined ? '' : throughputSection(report, report.throughput),
    report.parallel === undefined ? '' : parallelSection(report, report.parallel),
    report.scaling === undefined ? '' : scalingSection(report, report.scaling),
    report.upload === undefined ? '' : uploadSection(report.upload),
    report.memory === undefined ? '' : memorySection(report.memory),
    report.startup === undefined ? '' : startupSection(report.startup),
    report.storage === undefined ? '' : storageSection(report.storage),
    report.keys === undefined ? '' : keysSection(report.keys),
  );
  return `${text}\n`;
}

const introduction = `# Benchmarks

Written by \`npm run bench\`; \`npm run bench -- --help\` lists its options. All candidates of a table ran in one run on one
machine, taking turns: every round runs each once, beginning with another one each time, and the medians of the rounds
count. Before each of them the server writes a checkpoint and the system its dirty pages. The database, the files and
the stores are on one disk; the database is in memory when a dump starts. MB and GB are 10⁶ and 10⁹ bytes.

- **wall**: from start to end, with the fastest and the slowest round.
- **CPU**: user and system time of the process and everything it started, without the PostgreSQL server.
- **memory**: highest resident memory; of our own process alone (pg_dump and pg_restore not counted), and of the largest
  single process of a pipe. The highest of all rounds.
- Our own figures contain what the pipes do not do: waiting until the file is on the disk, SHA-256 of every object, the
  manifest, locks, and on restore the check of all that.`;

function targetSection(report: BenchReport): string {
  const rows = checkTargets(report).map(({ promise, measured, isReached }) => [
    promise,
    measured,
    isReached ? 'yes' : '**no**',
  ]);
  return `## Promises\n\n${table(['promise', 'measured', 'kept'], rows)}`;
}

function throughputSection(report: BenchReport, { result }: Measured<Throughput>): string {
  const settings = Object.entries(serverSettings).map(([name, value]) => `${name} = ${value}`);
  const introduction = `## Create and restore

A mixed database: ${gigabytes(result.dumpBytes)} as \`pg_dump -Fc -Z0\` writes it, ${gigabytes(result.databaseBytes)} by
\`pg_database_size\`. By share of the dump: text 30 %, jsonb 25 %, time series 20 %, incompressible bytea 15 %, rows with
foreign keys 8 %, 200 small tables 2 %. Rounds: ${result.repetitions}. Server: ${settings.join(', ')}.`;
  return paragraphs(
    introduction,
    '### Create',
    candidateTable(result.create, result.dumpBytes),
    showPlot(report, 'create'),
    '### Restore into a new database',
    candidateTable(result.restore, result.dumpBytes),
    showPlot(report, 'restore'),
  );
}

function candidateTable(results: readonly CandidateResult[], dumpBytes: number): string {
  const limit = find(results, 'limit');
  const rows = results.map((result) => [
    result.title,
    `${seconds(result.wallMs)} s (${seconds(result.fastestMs)}–${seconds(result.slowestMs)})`,
    limit === undefined ? '' : `${(result.wallMs / limit.wallMs).toFixed(2)} ×`,
    `${(dumpBytes / 1e3 / result.wallMs).toFixed(0)} MB/s`,
    `${seconds(result.cpuMs)} s`,
    `${Math.round(result.peakMemoryBytes / 1e6)} MB`,
    result.storedBytes === null ? '' : `${Math.round(result.storedBytes / 1e6)} MB`,
  ]);
  return table(['', 'wall', 'to the limit', 'of the dump', 'CPU', 'memory', 'stored'], rows);
}

function memorySection({ result }: Measured<readonly MemoryResult[]>): string {
  const [first] = result;
  const sizes = first === undefined ? [] : [first.smallMegabytes, first.largeMegabytes];
  const rows = result.map(({ what, smallPeakBytes, largePeakBytes }) => [
    what,
    `${Math.round(smallPeakBytes / 1e6)} MB`,
    `${Math.round(largePeakBytes / 1e6)} MB`,
  ]);
  return `## Memory by size

Highest resident memory of our own process, by the size of the dump.

${table(['', ...sizes.map((megabytes) => `${megabytes / 1000} GB`)], rows)}`;
}

function startupSection({ result }: Measured<readonly StartupResult[]>): string {
  const node = result.find(({ name }) => name === 'node -e 0')?.wallMs ?? Number.NaN;
  const rows = result.map(({ name, wallMs }) => [
    `\`${name}\``,
    `${wallMs.toFixed(0)} ms`,
    `${(wallMs - node).toFixed(0)} ms`,
  ]);
  return `## Start-up

Median of 20 runs each, taking turns; \`list\` on a folder store with 5 backups.

${table(['', 'wall', 'over Node'], rows)}`;
}

function storageSection({ result }: Measured<readonly StorageResult[]>): string {
  const rows = result.map(({ name, wallMs, fastestMs, slowestMs, peakMemoryBytes }) => [
    storageTitles[name],
    `${seconds(wallMs)} s (${seconds(fastestMs)}–${seconds(slowestMs)})`,
    `${Math.round(peakMemoryBytes / 1e6)} MB`,
  ]);
  return `## Stores

AES-256. The S3 server shares the two cores with everything else; \`near\` and \`far\` go through a proxy on this machine that
adds nothing, or ${latencyMs} ms to every request. With one stream, unless another number stands there; restores of one write
the dump to a file.

${table(['', 'wall', 'memory'], rows)}`;
}

const storageTitles: Readonly<Record<StorageName, string>> = {
  'create folder': 'create to a folder',
  'create s3': 'create to S3',
  'create near': 'create to S3, near',
  'create far': 'create to S3, far',
  'restore near': 'restore from S3, near',
  'restore far': 'restore from S3, far',
  'create s3 2': 'create to S3, 2 streams',
  'create s3 4': 'create to S3, 4 streams',
  'restore s3 4': 'restore from S3 into a new database, 4 streams',
};

function keysSection({ result }: Measured<readonly KeysResult[]>): string {
  const rows = result.map(({ place, backups, ...of }) => [
    `${backups} in ${place === 'folder' ? 'a folder' : 'S3'}`,
    `${seconds(of.verifyMs)} s`,
    `${Math.round(of.verifyPeakBytes / 1e6)} MB`,
    `${seconds(of.rewrapMs)} s`,
    `${Math.round(of.rewrapPeakBytes / 1e6)} MB`,
    of.mostInFlight === null ? '' : String(of.mostInFlight),
    String(of.mostFetchesOfAKey),
  ]);
  const header = ['backups', 'verify', 'memory', 'rewrap', 'memory', 'requests at once', 'fetches per key'];
  return `## Keys

\`keys verify\` and \`keys rewrap --yes\` of small AES-256 backups, with keys that a command gives and with the audit log on.

${table(header, rows)}`;
}

function uploadSection({ result }: Measured<UploadResult>): string {
  const { objectBytes, parts, largestPartBytes, wallMs, peakMemoryBytes } = result;
  return `## A large object

${gigabytes(objectBytes)} of generated bytes, whose length the store does not know before their end, into a double of S3 that
counts and forgets them: ${parts} parts of up to ${Math.round(largestPartBytes / 1e6)} MB in ${seconds(wallMs)} s (${Math.round(objectBytes / 1e3 / wallMs)} MB/s), with
${Math.round(peakMemoryBytes / 1e6)} MB of memory at most.`;
}

/** Usually all parts come from the same machine; one line for each otherwise. */
function machineSection(report: BenchReport): string {
  const parts = Object.entries(report) as [string, Measured<unknown>][];
  const lines = parts.map(([name, { machine, measuredAt }]) => {
    const { cpu, cores, memoryGb, system, node, tools } = machine;
    const versions = Object.entries(tools).map(([tool, version]) => `${tool} ${version}`);
    const hardware = `${cpu}, ${cores} cores, ${memoryGb} GiB of memory`;
    return {
      name,
      text: `${measuredAt.slice(0, 10)}: ${hardware}; ${system}; Node ${node.slice(1)}, ${versions.join(', ')}.`,
    };
  });
  const groups = Map.groupBy(lines, ({ text }) => text);
  return `## Machine\n\n${[...groups].map(([text, members]) => `- ${members.map(({ name }) => name).join(', ')}: ${text}`).join('\n')}`;
}
