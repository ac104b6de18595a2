// Loaded into the program under test (`--import`): writes what every child of it is given, arguments and environment, to
// file descriptor 3. Each of them passes here, however short it lives.

import { ChildProcess } from 'node:child_process';
import { writeSync } from 'node:fs';

const { spawn } = ChildProcess.prototype;

ChildProcess.prototype.spawn = function record(options) {
  const { args = [], envPairs = [] } = options;
  writeAll(Buffer.from(`${args.join(' ')}\n${envPairs.join('\n')}\n\n`));
  return spawn.call(this, options);
};

function writeAll(bytes) {
  for (let written = 0; written < bytes.byteLength;) written += writeSync(3, bytes, written);
}
