import { drawBars, drawCurves } from './charts.ts';
import { seconds } from './format.ts';
import type { BenchReport, CandidateResult, Scaling } from './report.ts';
import { streamCounts } from './scaling.ts';

/** Where the pictures lie, seen from the report. */
export const plotFolder = 'benchmarks';

export interface Plot {
  readonly fileName: string;
  readonly title: string;
  readonly svg: string;
}

/** A picture of every table of the report that can be drawn. */
export function drawPlots(report: BenchReport): Plot[] {
  const { throughput, parallel, scaling } = report;
  return [
    ...plotWalls('create', 'Create: wall time', throughput?.result.create),
    ...plotWalls('restore', 'Restore into a new database: wall time', throughput?.result.restore),
    ...plotWalls('parallel-create', 'Create in several streams: wall time', parallel?.result.create),
    ...plotWalls('parallel-restore', 'Restore in several streams: wall time', parallel?.result.restore),
    ...(scaling === undefined ? [] : plotScaling(scaling.result)),
  ];
}

/** The markdown of one picture; nothing where the report has none. */
export function showPlot(report: BenchReport, name: string): string {
  const plot = drawPlots(report).find(({ fileName }) => fileName === `${name}.svg`);
  return plot === undefined ? '' : `![${plot.title}](${plotFolder}/${plot.fileName})`;
}

function plotWalls(name: string, title: string, results: readonly CandidateResult<string>[] = []): Plot[] {
  if (results.length === 0) return [];
  const bars = results.map(({ title: markdown, wallMs, fastestMs, slowestMs }) => ({
    label: toPlainText(markdown),
    value: wallMs,
    range: [fastestMs, slowestMs] as const,
    isOurs: markdown.includes('librelog-backup'),
  }));
  return [{ fileName: `${name}.svg`, title, svg: drawBars({ title, bars, format: (ms) => `${seconds(ms)} s` }) }];
}

function toPlainText(markdown: string): string {
  return markdown.replaceAll('`', '').replaceAll('\\|', '|');
}

function plotScaling(scaling: Scaling): Plot[] {
  const directions = ['create', 'restore'] as const;
  const curves = directions.flatMap((label) => {
    const points = speedUps(scaling, label);
    return points.length === 0 ? [] : [{ label, points }];
  });
  if (curves.length === 0) return [];
  const title = 'Behind a slow link: times as fast as one stream';
  const chart = {
    title,
    xTitle: 'streams (dashed: as many times as fast)',
    curves,
    format: (times: number) => `${Number(times.toFixed(1))} ×`,
  };
  return [{ fileName: 'scaling.svg', title, svg: drawCurves(chart) }];
}

/** By number of streams: how many times as fast as one. */
export function speedUps(scaling: Scaling, direction: 'create' | 'restore'): [streams: number, times: number][] {
  const walls = new Map<string, number>(scaling[direction].map(({ name, wallMs }) => [name, wallMs]));
  const one = walls.get('streams-1');
  if (one === undefined) return [];
  return streamCounts.flatMap((streams) => {
    const wallMs = walls.get(`streams-${streams}`);
    return wallMs === undefined ? [] : [[streams, one / wallMs]];
  });
}
