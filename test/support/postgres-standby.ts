import { execFile } from 'node:child_process';
import { appendFileSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serverAccount } from './postgres-account.ts';
import { Cluster } from './postgres-cluster.ts';
import { dataFolder, launchServer, type ServerPlace } from './postgres-server.ts';
import { waitUntil } from './wait-until.ts';

const run = promisify(execFile);

/** A hot standby of a throw-away cluster, by streaming replication; `settings` are added to those of the primary. */
export async function startStandby(
  primary: Cluster,
  settings: Readonly<Record<string, string>> = {},
): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'lb-pg-'));
  const place: ServerPlace = { folder, binFolder: primary.binFolder, account: serverAccount() };
  try {
    if (place.account !== null) chownSync(folder, place.account.uid, place.account.gid);
    const args = ['--pgdata', dataFolder(place), '--write-recovery-conf', '--checkpoint=fast', '--no-sync'];
    const env = { PATH: process.env['PATH'], ...primary.env() };
    await run(join(primary.binFolder, 'pg_basebackup'), args, { cwd: folder, env, ...place.account });
    const lines = Object.entries({ hot_standby: 'on', ...settings }).map(([name, value]) => `${name} = '${value}'\n`);
    appendFileSync(join(dataFolder(place), 'postgresql.conf'), lines.join(''));
    const access = { superuser: primary.superuser, clientFolder: primary.binFolder };
    return new Cluster(place, access, await launchServer(place));
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Waits until the standby has everything that the primary has now. */
export async function untilCaughtUp(primary: Cluster, standby: Cluster): Promise<void> {
  const [now] = await primary.query<{ position: string }>('postgres', 'SELECT pg_current_wal_lsn()::text AS position');
  await waitUntil(async () => {
    const sql = 'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS reached';
    const [row] = await standby.query<{ reached: boolean }>('postgres', sql, [now?.position]);
    return row?.reached === true;
  }, 'the standby has caught up');
}
