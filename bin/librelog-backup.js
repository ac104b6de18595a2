#!/usr/bin/env node
// Written for any Node: an old one must get one clear sentence instead of a syntax error.

const [major, minor] = process.versions.node.split('.').map(Number);

if (major < 24 || (major === 24 && minor < 20)) {
  // Node 24.11 to 24.19 take a truncated zstd stream for a whole one (nodejs/node#64593).
  process.stderr.write('librelog-backup: needs Node >= 24.20, and this is ' + process.versions.node + '\n');
  process.exitCode = 3;
} else {
  // The thread pool compresses and writes files; its size is read once, when it is first used.
  if (process.env.UV_THREADPOOL_SIZE === undefined) {
    process.env.UV_THREADPOOL_SIZE = String(process.getBuiltinModule('node:os').availableParallelism() + 3);
  }
  // Buffers that come and go look like garbage to V8, which would mark its heap over and over: a third of a restore's CPU.
  process.getBuiltinModule('node:v8').setFlagsFromString('--no-incremental-marking');
  // Only proven success sets it to 0: a promise that never settles must not look like one.
  process.exitCode = 70;
  import('../dist/cli/main.js').then(
    (cli) => cli.main(process.argv).then(exitWhenInterrupted),
    (error) => {
      process.stderr.write('librelog-backup: cannot start: ' + error.message + '\n');
    },
  );
}

/** Otherwise Node waits for a reader of our output that takes nothing more. */
function exitWhenInterrupted() {
  if (process.exitCode === 130 || process.exitCode === 143) process.exit();
}
