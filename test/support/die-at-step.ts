import fs, { type promises } from 'node:fs';
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

/** What is written reaches the file in two halves. */
function writeInHalves(write: promises.FileHandle['write']) {
  return async function written(this: promises.FileHandle, buffer: Uint8Array, offset = 0, length = 0, at?: number) {
    const half = length >> 1;
    const position = at ?? null;
    const { bytesWritten } = await write.call(this, buffer, offset, half, position);
    dieAtStep();
    const next = position === null ? null : position + bytesWritten;
    const rest = await write.call(this, buffer, offset + bytesWritten, length - bytesWritten, next);
    return { buffer, bytesWritten: bytesWritten + rest.bytesWritten };
  };
}

const handle = await fs.promises.open(import.meta.filename, 'r');
const handles = Object.getPrototypeOf(handle) as promises.FileHandle;
await handle.close();
Reflect.set(handles, 'write', writeInHalves(handles.write));
for (const name of ['write', 'sync']) wrap(handles, name);
for (const name of ['rename', 'rm', 'open', 'link', 'unlink', 'mkdir']) wrap(fs.promises, name);
syncBuiltinESMExports();
