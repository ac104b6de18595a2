import { rewrapBackups } from '../../src/backup/rewrap-backups.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { quietContext } from './quiet-context.ts';

/** `STORE`: wraps all backups with `env:NEW` instead of `env:OLD`, or beside it when ADD is set, and prints outcomes. */
const [url = ''] = process.argv.slice(2);
await using store = await openStore(url, {});
const unlock = { keys: ['env:OLD'] };
const wrap = { keys: ['env:NEW'] };
const keepsOthers = process.env['ADD'] !== undefined;
const done = await rewrapBackups(
  { store, unlock, wrap, keepsOthers, isDryRun: false },
  quietContext({ ...process.env }),
);
process.stdout.write(done.map((backup) => `${backup.id} ${backup.outcome}\n`).join(''));
