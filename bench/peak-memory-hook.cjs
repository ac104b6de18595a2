// Loaded into the measured Node process with --require: at its end, appends its own highest resident memory in bytes.
'use strict';
const { appendFileSync } = require('node:fs');

process.on('exit', () => {
  appendFileSync(process.env.BENCH_PEAK_MEMORY_FILE, `${process.resourceUsage().maxRSS * 1024}\n`);
});
