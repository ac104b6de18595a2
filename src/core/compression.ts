import { BackupError } from './backup-error.ts';

/** How the dump was compressed before it was encrypted. */
export type Compression =
  | { readonly method: 'zstd'; readonly level: number; /** Input bytes per frame. */ readonly frameBytes: number }
  | { readonly method: 'gzip'; readonly level: number }
  | { readonly method: 'none' };

export type CompressionMethod = Compression['method'];

/** Suffix of the object's name, with its dot. */
export const compressionExtensions: Readonly<Record<CompressionMethod, string>> = {
  zstd: '.zst',
  gzip: '.gz',
  none: '',
};

/** Input bytes of one zstd frame or gzip member: large enough to cost no ratio, small enough to keep every core busy. */
export const compressionFrameBytes = 4 * 1024 * 1024;

const levels = {
  /** Level 1: the only one that keeps up with pg_dump on two cores that the server needs as well (docs/benchmarks.md). */
  zstd: { default: 1, min: 1, max: 19 },
  gzip: { default: 6, min: 1, max: 9 },
} as const;

/** `zstd`, `zstd:LEVEL`, `gzip`, `gzip:LEVEL` or `none`; anything else is a `usage` error. */
export function parseCompression(text: string): Compression {
  const [, method = '', levelText] = /^(\w+)(?::(-?\d+))?$/.exec(text) ?? [];
  if (method === 'none' && levelText === undefined) return { method };
  if (method !== 'zstd' && method !== 'gzip') {
    throw new BackupError('usage', `"${text}" is no compression`, {
      hint: 'Choose zstd, zstd:LEVEL, gzip, gzip:LEVEL or none.',
    });
  }
  const range = levels[method];
  const level = levelText === undefined ? range.default : Number(levelText);
  if (level < range.min || level > range.max) {
    throw new BackupError('usage', `${method} has no level ${level}`, {
      hint: `Choose one from ${range.min} to ${range.max}.`,
    });
  }
  return method === 'zstd' ? { method, level, frameBytes: compressionFrameBytes } : { method, level };
}
