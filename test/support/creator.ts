import { createBackup } from '../../src/backup/create-backup.ts';
import { parseCompression } from '../../src/core/compression.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { quietContext } from './quiet-context.ts';

/** `STORE DATABASE LABEL BIN_DIR`: backs up with the key `env:KEY`. */
const [url = '', database = '', label = '', binDir = ''] = process.argv.slice(2);
const env = { ...process.env };
await using store = await openStore(url, {});
await createBackup(
  {
    connection: resolveConnection(database, env),
    stores: [store],
    allowPartial: false,
    label,
    jobs: 1,
    dump: { format: 'custom', filters: {} },
    compression: parseCompression('zstd'),
    encryption: { method: 'aes-256', keys: ['env:KEY'] },
    rotation: { maxAgeDays: 90, overdue: 'warn' },
    binDir,
    stallTimeoutMs: 60_000,
    isDryRun: false,
  },
  quietContext(env),
);
