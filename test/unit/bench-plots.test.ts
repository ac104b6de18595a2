import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { drawBars, drawCurves } from '../../bench/charts.ts';
import { toMarkdown } from '../../bench/markdown.ts';
import { drawPlots } from '../../bench/plots.ts';
import {
  readReport,
  type BenchReport,
  type MeasuredCandidate,
  type Parallel,
  type Scaling,
} from '../../bench/report.ts';

const docs = join(import.meta.dirname, '..', '..', 'docs');

interface Drawing {
  readonly svg: {
    readonly title: string;
    readonly text: readonly (string | { readonly '#text': string })[];
    readonly rect?: readonly { readonly width: string; readonly class: string }[];
    readonly circle?: readonly unknown[];
  };
}

/** Throws when it is not XML. */
function parse(svg: string): Drawing['svg'] {
  assert.equal(XMLValidator.validate(svg), true);
  const isArray = (name: string): boolean => ['text', 'rect', 'circle'].includes(name);
  const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '', parseTagValue: false, isArray });
  return (parser.parse(svg) as Drawing).svg;
}

function textsOf(svg: string): string[] {
  return parse(svg).text.map((text) => (typeof text === 'string' ? text : text['#text']));
}

function candidate<Name extends string>(name: Name, wallMs: number): MeasuredCandidate<Name> {
  const title = name.startsWith('aes') ? `\`librelog-backup ${name}\`` : `\`${name} \\| more\``;
  const range = { fastestMs: wallMs * 0.9, slowestMs: wallMs * 1.2 };
  const bytes = { peakMemoryBytes: 1e8, storedBytes: 1e9, plaintextBytes: 0, otherWrittenBytes: 1e5 };
  return { name, title, wallMs, ...range, cpuMs: 2 * wallMs, ...bytes };
}

const parallel: Parallel = {
  dumpBytes: 2e9,
  databaseBytes: 3e9,
  repetitions: 3,
  create: [
    candidate('directory-2', 20_000),
    candidate('aes-2', 19_000),
    candidate('gpg', 88_000),
    candidate('zstd-openssl', 19_100),
  ],
  restore: [candidate('uncompressed-2', 30_000), candidate('aes-2', 36_000)],
};
const scaling: Scaling = {
  megabytes: 400,
  latencyMs: 20,
  bytesPerSecond: 4e6,
  create: [candidate('streams-1', 100_000), candidate('streams-4', 25_000)],
  restore: [candidate('streams-1', 100_000), candidate('streams-4', 50_000)],
};
const machine = { cpu: 'c', cores: 2, memoryGb: 4, system: 's', node: 'v24.20.0', tools: {} };
const here = { measuredAt: '2026-01-01T00:00:00Z', machine };
const report: BenchReport = { parallel: { ...here, result: parallel }, scaling: { ...here, result: scaling } };

describe('charts of the bench', () => {
  const bar = { range: [1, 1] as const, isOurs: false };

  it('has a bar for every row, as long as its value, with label and value', () => {
    const bars = [
      { ...bar, label: 'a <b> & "c" | d', value: 1 },
      { ...bar, label: 'ours', value: 4, isOurs: true },
    ];
    const svg = drawBars({ title: 'Times & more', bars, format: (value) => `${value} s` });
    assert.deepEqual(textsOf(svg), ['Times & more', 'a <b> & "c" | d', '1 s', 'ours', '4 s']);
    const { title, rect = [] } = parse(svg);
    assert.equal(title, 'Times & more');
    assert.deepEqual(
      rect.map(({ class: kind }) => kind),
      ['other', 'ours'],
    );
    assert.equal(Number(rect[1]?.width) / Number(rect[0]?.width), 4);
  });

  it('has a point for every value of every curve', () => {
    const points = [
      [1, 1],
      [2, 1.9],
      [4, 3.5],
    ] as const;
    const curves = [
      { label: 'create', points },
      { label: 'restore', points: points.slice(0, 2) },
    ];
    const svg = drawCurves({ title: 't', xTitle: 'streams', curves, format: (value) => `${value} x` });
    assert.equal(parse(svg).circle?.length, 5);
    for (const text of ['1', '2', '4', 'streams', 'create 3.5 x', 'restore 1.9 x']) {
      assert.ok(textsOf(svg).includes(text), text);
    }
  });

  it('can be read in light and in dark surroundings', () => {
    const svg = drawBars({ title: 't', bars: [{ ...bar, label: 'a', value: 1 }], format: String });
    assert.match(svg, /@media \(prefers-color-scheme: dark\)/);
  });
});

describe('report of the bench', () => {
  const markdown = toMarkdown(report);
  const plots = drawPlots(report);

  it('has every row of the tables in the text and in a picture that the text shows', () => {
    assert.deepEqual(
      plots.map(({ fileName }) => fileName),
      ['parallel-create.svg', 'parallel-restore.svg', 'scaling.svg'],
    );
    for (const { fileName } of plots) assert.ok(markdown.includes(`](benchmarks/${fileName})`), fileName);
    for (const [index, results] of [parallel.create, parallel.restore].entries()) {
      const texts = textsOf(plots[index]?.svg ?? '');
      for (const { title } of results) {
        assert.ok(markdown.includes(`| ${title} |`), title);
        assert.ok(texts.includes(title.replaceAll('`', '').replaceAll('\\|', '|')), title);
      }
    }
  });

  it('judges the promises about several streams', () => {
    const lines = markdown.split('\n');
    const verdictOf = (start: string): string => lines.find((line) => line.startsWith(`| ${start}`)) ?? '';
    assert.match(verdictOf('create takes at most 1.05 ×'), /\| 0\.95 \| yes \|$/);
    assert.match(verdictOf('create is at least 5 ×'), /\| 4\.6 \| \*\*no\*\* \|$/);
    assert.match(verdictOf('restore takes at most 1.1 ×'), /\| 1\.20 \| \*\*no\*\* \|$/);
    assert.match(verdictOf('create takes at most 1.15 × the CPU'), /\| 0\.99, 19\.0 s per GB \| yes \|$/);
    assert.match(verdictOf('our process stays within'), /420 MB\) \| 100 MB \| yes \|$/);
    assert.match(verdictOf('no scratch disk'), /\| 0\.1 MB \| yes \|$/);
    assert.match(verdictOf('create behind a slow link'), /\| 4\.00 \| yes \|$/);
    assert.match(verdictOf('restore behind a slow link'), /\| 2\.00 \| \*\*no\*\* \|$/);
  });

  it('is in docs as it is written from the figures there', () => {
    const kept = readReport(docs);
    assert.equal(readFileSync(join(docs, 'benchmarks.md'), 'utf8'), toMarkdown(kept), 'npm run bench -- --render');
    const drawn = drawPlots(kept);
    for (const { fileName, svg } of drawn) {
      assert.equal(readFileSync(join(docs, 'benchmarks', fileName), 'utf8'), svg, fileName);
    }
    const folder = join(docs, 'benchmarks');
    const files = existsSync(folder) ? readdirSync(folder).toSorted() : [];
    assert.deepEqual(files, drawn.map(({ fileName }) => fileName).toSorted());
  });
});
