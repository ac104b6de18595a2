import { createAuditLog } from '../../src/audit/audit-log.ts';

/**
 * Appends events to a log until it has made as many as asked for, and prints the number of each one that is recorded.
 * `audit-writer.ts FILE FIRST COUNT MAX_FILE_BYTES`
 */
const [file = '', first = '', count = '', maxFileBytes = ''] = process.argv.slice(2);
const silent = { debug: () => {}, info: () => {}, warn: () => {} };
const log = createAuditLog(
  { file, maxFileBytes: Number(maxFileBytes), sinks: [], onFailure: 'fail' },
  { env: {}, now: () => new Date(), log: silent },
);
for (let number = Number(first); number < Number(first) + Number(count); number += 1) {
  await log.append({ action: 'key-access', outcome: 'success', durationMs: number });
  process.stdout.write(`${number}\n`);
}
