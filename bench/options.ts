import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const partNames = ['throughput', 'parallel', 'scaling', 'memory', 'startup', 'storage', 'upload', 'keys'] as const;
export type PartName = (typeof partNames)[number];

export interface BenchOptions {
  /** What to measure; the default is `throughput` and `startup`. Nothing with `--render`. */
  readonly parts: readonly PartName[];
  /** Size of the dump in MB (10^6 bytes), about. */
  readonly megabytes: number;
  /** Sizes that `--memory` compares. */
  readonly memoryMegabytes: readonly [number, number];
  /** Size of the dump behind the slow link of `--scaling`. */
  readonly scalingMegabytes: number;
  /** Size of the object that `--upload` stores. */
  readonly uploadMegabytes: number;
  readonly repetitions: number;
  /** Measures only what matches, e.g. `create`, `restore aes`. */
  readonly only: RegExp;
  /** Everything is written below it: the database and the files of all candidates share one disk. */
  readonly folder: string;
  /** Where benchmarks.json, benchmarks.md and the pictures go. */
  readonly outputFolder: string;
}

export const usage = `usage: npm run bench -- [options]
  --size 2GB            bytes of the dump (pg_dump -Fc -Z0), about; MB or GB
  --repeat 5            rounds; every candidate runs once per round, medians count
  --only PATTERN        only candidates whose "create NAME" or "restore NAME" matches, e.g. "create (limit|aes|openpgp)"
  --throughput, --parallel, --scaling, --memory, --startup, --storage, --upload, --keys
                        only these parts; --parallel compares several streams with other parallel tools (pg_back,
                        restic and pgbackrest where they are installed), and needs about 2 x the size in /dev/shm;
                        --scaling compares numbers of streams behind a slow link; --memory compares two sizes;
                        --storage needs an S3 server in LIBRELOG_TEST_S3_ENDPOINT (see test/servers); --upload stores
                        one large object in a double of S3; --keys wraps 1,000 backups anew, in a folder and on the S3
                        server where one is named; without any: throughput and start-up
  --render              measures nothing: writes benchmarks.md and the pictures anew from benchmarks.json
  --scaling-size 400MB  bytes of the dump behind the slow link, about
  --memory-sizes 1GB,8GB
  --upload-size 80GB
  --dir FOLDER          database and files go there (needs about 8 x the size)
  --output FOLDER       where benchmarks.md, benchmarks.json and benchmarks/*.svg go (docs)
`;

/** Throws an error whose message is for the user when an option makes no sense. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      size: { type: 'string', default: '2GB' },
      repeat: { type: 'string', default: '5' },
      only: { type: 'string', default: '.' },
      memory: { type: 'boolean', default: false },
      'memory-sizes': { type: 'string', default: '1GB,8GB' },
      startup: { type: 'boolean', default: false },
      storage: { type: 'boolean', default: false },
      keys: { type: 'boolean', default: false },
      upload: { type: 'boolean', default: false },
      'upload-size': { type: 'string', default: '80GB' },
      throughput: { type: 'boolean', default: false },
      render: { type: 'boolean', default: false },
      parallel: { type: 'boolean', default: false },
      scaling: { type: 'boolean', default: false },
      'scaling-size': { type: 'string', default: '400MB' },
      dir: { type: 'string', default: tmpdir() },
      output: { type: 'string', default: join(import.meta.dirname, '..', 'docs') },
    },
  });
  const chosen = partNames.filter((part) => values[part]);
  const wanted = chosen.length === 0 ? (['throughput', 'startup'] as const) : chosen;
  const [small = '', large = ''] = values['memory-sizes'].split(',');
  return {
    parts: values.render ? [] : wanted,
    megabytes: parseMegabytes(values.size),
    memoryMegabytes: [parseMegabytes(small), parseMegabytes(large)],
    scalingMegabytes: parseMegabytes(values['scaling-size']),
    uploadMegabytes: parseMegabytes(values['upload-size']),
    repetitions: parseCount(values.repeat),
    only: new RegExp(values.only),
    folder: resolve(values.dir),
    outputFolder: resolve(values.output),
  };
}

function parseMegabytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(MB|GB)$/i.exec(text);
  const megabytes = Math.round(Number(match?.[1]) * (match?.[2]?.toUpperCase() === 'GB' ? 1000 : 1));
  if (match === null || megabytes < 1) throw new Error(`"${text}" is not a size such as 500MB or 2GB`);
  return megabytes;
}

function parseCount(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`"${text}" is not a number of rounds`);
  return Number(text);
}
