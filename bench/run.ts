import { measureKeys } from './keys.ts';
import { describeMachine } from './machine.ts';
import { toMarkdown } from './markdown.ts';
import { measureMemory } from './memory.ts';
import { parseOptions, usage, type BenchOptions, type PartName } from './options.ts';
import { measureParallel } from './parallel.ts';
import { drawPlots } from './plots.ts';
import { readReport, writeReport, type BenchReport, type Measured } from './report.ts';
import { measureScaling } from './scaling.ts';
import { measureStartup } from './startup.ts';
import { measureStorage } from './storage.ts';
import { measureThroughput } from './throughput.ts';
import { measureUpload } from './upload.ts';
import { openWorkbench } from './workbench.ts';

const args = process.argv.slice(2);

if (args.includes('--help')) console.log(usage);
else await main(parseOptions(args));

async function main(options: BenchOptions): Promise<void> {
  const report = { ...readReport(options.outputFolder), ...(await measureParts(options)) };
  const markdown = toMarkdown(report);
  writeReport(options.outputFolder, report, { markdown, plots: drawPlots(report) });
  console.log(markdown);
}

async function measureParts(options: BenchOptions): Promise<BenchReport> {
  if (options.parts.length === 0) return {};
  await using bench = await openWorkbench(options.folder);
  const measured = <Result>(result: Result): Measured<Result> => ({
    measuredAt: new Date().toISOString(),
    machine: describeMachine(bench.cluster.binFolder),
    result,
  });
  const has = (part: PartName) => options.parts.includes(part);
  return {
    ...(has('startup') ? { startup: measured(await measureStartup(bench)) } : {}),
    ...(has('throughput') ? { throughput: measured(await measureThroughput(bench, options)) } : {}),
    ...(has('parallel') ? { parallel: measured(await measureParallel(bench, options)) } : {}),
    ...(has('scaling') ? { scaling: measured(await measureScaling(bench, options)) } : {}),
    ...(has('storage') ? { storage: measured(await measureStorage(bench, options)) } : {}),
    ...(has('upload') ? { upload: measured(await measureUpload(bench, options)) } : {}),
    ...(has('keys') ? { keys: measured(await measureKeys(bench)) } : {}),
    ...(has('memory') ? { memory: measured(await measureMemory(bench, options)) } : {}),
  };
}
