import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/**
 * To be imported first (`--import`): kills the process at the step DIE_AT of what it does to the file system, before and
 * after each call that changes it, and in the middle of each write.
 */
let steps = 0;

function dieAtStep(): void {
  steps += 1;
  if (steps === Number(process.env['DIE_AT'])) process.kill(process.pid, 'SIGKILL');
}

type Call = (this: unknown, ...args: unknown[]) => Promise<unknown>;

function wrap(owner: object, name: string): void {
  const call = Reflect.get(owner, name) as Call;
  const dying: Call = async function dying(...args) {
    dieAtStep();
    const result = await call.apply(this, args);
    dieAtStep();
    return result;
  };
  Reflect.set(owner, name, dying);
}

type Write = (
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesWritten: number }>;

/** What is written reaches the file in two halves. */
function inHalves(write: Write): Write {
  return async function written(this: unknown, buffer, offset, length, position) {
    const half = length >> 1;
    await write.call(this, buffer, offset, half, position);
    dieAtStep();
    await write.call(this, buffer, offset + half, length - half, position + half);
    return { bytesWritten: length };
  };
}

const handle = await fs.promises.open(import.meta.filename, 'r');
const handles = Object.getPrototypeOf(handle) as object;
await handle.close();
Reflect.set(handles, 'write', inHalves(Reflect.get(handles, 'write') as Write));
for (const name of ['write', 'sync']) wrap(handles, name);
for (const name of ['rename', 'rm', 'open', 'link', 'unlink', 'mkdir']) wrap(fs.promises, name);
syncBuiltinESMExports();
