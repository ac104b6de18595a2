import fs, { type promises } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/**
 * `PATH STEP`: rotates the keyring once, and kills itself at its STEPth step of writing: before and after each call that
 * changes the file system, and in the middle of a write. Exits with 0 when there are fewer steps.
 */
const [path = '', step = ''] = process.argv.slice(2);
let steps = 0;

function dieAtStep(): void {
  steps += 1;
  if (steps === Number(step)) process.kill(process.pid, 'SIGKILL');
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
async function writeInHalves(this: promises.FileHandle, content: Uint8Array): Promise<void> {
  const half = content.byteLength >> 1;
  await this.write(content.subarray(0, half));
  dieAtStep();
  await this.write(content.subarray(half));
  dieAtStep();
}

const handle = await fs.promises.open(path, 'r');
const handles = Object.getPrototypeOf(handle) as object;
await handle.close();
Reflect.set(handles, 'writeFile', writeInHalves);
for (const name of ['sync', 'chown']) wrap(handles, name);
for (const name of ['rename', 'rm', 'open', 'writeFile', 'link', 'unlink']) wrap(fs.promises, name);
syncBuiltinESMExports();

const { rotateKeyringFile } = await import('../../src/keys/keyring-file.ts');
await rotateKeyringFile(path, { now: new Date() });
