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

type WriteArguments = [buffer: Uint8Array, offset: number, length: number, position: number | null];
type Write = (...args: WriteArguments) => Promise<{ readonly bytesWritten: number }>;

/** What is written reaches the file in two halves. */
function inHalves(write: Write): Write {
  return async function written(this: unknown, ...[buffer, offset, length, position]) {
    const half = length >> 1;
    await write.call(this, buffer, offset, half, position);
    dieAtStep();
    const rest = position === null ? null : position + half;
    await write.call(this, buffer, offset + half, length - half, rest);
    return { bytesWritten: length };
  };
}

const handle = await fs.promises.open(import.meta.filename, 'r');
const handles = Object.getPrototypeOf(handle) as object;
await handle.close();
const write = Reflect.get(handles, 'write') as Write;
const writeInHalves = inHalves(write);
Reflect.set(handles, 'write', writeInHalves);
Reflect.set(handles, 'writeFile', async function writeWhole(this: unknown, content: Uint8Array) {
  await writeInHalves.call(this, content, 0, content.byteLength, null);
});
for (const name of ['write', 'sync', 'datasync', 'chown']) wrap(handles, name);
for (const name of ['rename', 'rm', 'open', 'link', 'unlink', 'mkdir', 'rmdir']) wrap(fs.promises, name);
syncBuiltinESMExports();
