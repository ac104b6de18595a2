import { spawnSync } from 'node:child_process';
import { createSmallDatabase } from '../test/support/sample-database.ts';
import { launcher, listCandidates } from './candidates.ts';
import { measure } from './measure.ts';
import type { StartupResult } from './report.ts';
import { median } from './statistics.ts';
import type { Workbench } from './workbench.ts';

const runs = 20;
const backups = 5;

/** Wall time from start to end of commands that do next to nothing, against Node itself; interleaved, medians. */
export async function measureStartup(bench: Workbench): Promise<StartupResult[]> {
  const store = await fillStore(bench);
  const commands: Readonly<Record<string, readonly string[]>> = {
    'node -e 0': ['-e', '0'],
    '--version': [launcher, '--version'],
    '--help': [launcher, '--help'],
    list: [launcher, 'list', '--store', `file://${store}`],
  };
  const times = new Map<string, number[]>(Object.keys(commands).map((name) => [name, []]));
  for (let round = 0; round < runs + 1; round += 1) {
    for (const [name, args] of Object.entries(commands)) {
      const wallMs = timeOf(args);
      // The first round only brings the files into memory.
      if (round > 0) times.get(name)?.push(wallMs);
    }
  }
  return [...times].map(([name, walls]) => ({ name, wallMs: median(walls) }));
}

async function fillStore(bench: Workbench): Promise<string> {
  await createSmallDatabase(bench.cluster, 'small');
  const candidate = listCandidates(bench, 'small').find(({ name }) => name === 'aes');
  if (candidate === undefined) throw new Error('no candidate with a store');
  for (let made = 0; made < backups; made += 1) {
    await measure(candidate.create.command, { env: {}, folder: bench.folder });
  }
  return candidate.output;
}

function timeOf(args: readonly string[]): number {
  const startedAt = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  if (status !== 0) throw new Error(`node ${args.join(' ')} failed: ${stderr.toString()}`);
  return performance.now() - startedAt;
}
