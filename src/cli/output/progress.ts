import type { OutputStreams } from './output.ts';
import { formatBytes } from './format.ts';

export interface Progress {
  /** May change on the way. */
  readonly what: () => string;
  readonly meter: { readonly bytes: number };
  /** What it will roughly come to, where known. */
  readonly expectedBytes?: number | undefined;
}

const intervalMs = 200;

/** Shows bytes, rate and share on one line of a terminal; nothing where stderr is no terminal. Dispose ends the line. */
export function showProgress(stderr: OutputStreams['stderr'], progress: Progress): Disposable {
  const { what, meter, expectedBytes } = progress;
  if (stderr.isTTY !== true) return { [Symbol.dispose]: () => {} };
  const startedMs = performance.now();
  const describe = (elapsedMs: number): string => {
    const rate = elapsedMs === 0 ? 0 : (meter.bytes * 1000) / elapsedMs;
    const text = `${what()}  ${formatBytes(meter.bytes)}  ${formatBytes(rate)}/s`;
    return expectedBytes === undefined ? text : `${text}  ${describeShare(meter.bytes, expectedBytes)}`;
  };
  const draw = (): void => {
    const line = describe(performance.now() - startedMs).slice(0, (stderr.columns ?? 80) - 1);
    stderr.write(`\r\u001B[K${line}`);
  };
  const timer = setInterval(draw, intervalMs).unref();
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      stderr.write('\r\u001B[K');
    },
  };
}

/** A dump holds no indexes and little bloat, so it is smaller than its database: the share is a lower bound. */
function describeShare(bytes: number, expectedBytes: number): string {
  const share = expectedBytes === 0 ? 100 : Math.min(100, Math.floor((bytes / expectedBytes) * 100));
  return `${share}% of ${formatBytes(expectedBytes)}`;
}
