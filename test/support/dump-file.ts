import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Cluster } from './postgres-cluster.ts';

const run = promisify(execFile);

/** What stock pg_dump writes, as the old scripts had it. */
export async function dumpByHand(cluster: Cluster, database: string, format: 'plain' | 'custom'): Promise<Buffer> {
  const env = { PATH: process.env['PATH'], ...cluster.env(database) };
  const options = { env, encoding: 'buffer', maxBuffer: 256 * 1024 * 1024 } as const;
  return (await run(join(cluster.binFolder, 'pg_dump'), [`--format=${format}`], options)).stdout;
}

/** What `openssl enc -aes-256-cbc -salt ARGS -pass file:PASSFILE` makes of `input`. */
export async function encryptWithOpenSsl(
  input: Uint8Array,
  passfile: string,
  args: readonly string[],
): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    const all = ['enc', '-aes-256-cbc', '-salt', ...args, '-pass', `file:${passfile}`];
    const options = { encoding: 'buffer', maxBuffer: 256 * 1024 * 1024 } as const;
    const child = execFile('openssl', all, options, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
    child.stdin?.end(input);
  });
}

/** A copy with one bit changed. */
export function flipBit(bytes: Uint8Array, position: number, bit = 0): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(position) ^ (1 << bit), position);
  return changed;
}
