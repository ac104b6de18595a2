import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startCluster, type Cluster } from './postgres-cluster.ts';

const run = promisify(execFile);

describe('throw-away cluster', () => {
  let cluster: Cluster;
  before(async () => (cluster = await startCluster()));
  after(async () => await cluster[Symbol.asyncDispose]());

  it('answers on TCP, on its socket and by its variables', async () => {
    const psql = join(cluster.binFolder, 'psql');
    const ask = ['--no-psqlrc', '-Atc', 'SELECT 1'];
    const env = { PATH: process.env['PATH'], ...cluster.env() };
    assert.equal((await run(psql, ['-d', cluster.url('postgres'), ...ask])).stdout, '1\n');
    assert.equal((await run(psql, ask, { env })).stdout, '1\n');
    assert.equal((await run(psql, ask, { env: { ...env, PGHOST: cluster.socketFolder } })).stdout, '1\n');
  });

  it('refuses a wrong password', async () => {
    const wrong = { user: cluster.superuser.user, password: 'wrong' };
    await assert.rejects(cluster.connect('postgres', wrong), { code: '28P01' });
  });

  it('makes, copies and drops databases of any name', async () => {
    const name = 'odd "name" / ünï';
    await cluster.createDatabase(name);
    await cluster.runSql(name, 'CREATE TABLE t AS SELECT 42 AS answer;');
    await cluster.createDatabase('copy', { from: name });
    assert.deepEqual(await cluster.query('copy', 'SELECT answer FROM t WHERE answer > $1', [1]), [{ answer: 42 }]);
    await cluster.dropDatabase(name);
    await assert.rejects(cluster.query(name, 'SELECT 1'), { code: '3D000' });
  });

  it('stops a script at its first error and says which', async () => {
    await assert.rejects(cluster.runSql('postgres', 'SELECT 1;\nSELECT nothing;\nSELECT 2;'), /column "nothing"/);
  });

  it('comes back after a crash with what was committed', async () => {
    await cluster.runSql('postgres', 'CREATE TABLE kept AS SELECT 1 AS x;');
    await cluster.stop('immediate');
    await assert.rejects(cluster.query('postgres', 'SELECT 1'));
    await cluster.start();
    assert.deepEqual(await cluster.query('postgres', 'SELECT x FROM kept'), [{ x: 1 }]);
  });
});

describe('end of a throw-away cluster', () => {
  it('leaves no server and no folder when the scope ends', async () => {
    let seen: { readonly pid: number; readonly folder: string };
    {
      await using cluster = await startCluster({ auth: 'trust' });
      seen = { pid: cluster.pid, folder: cluster.socketFolder };
      await (await cluster.connect('postgres', { user: 'postgres', password: 'any' })).end();
    }
    assert.equal(isAlive(seen.pid), false);
    assert.equal(existsSync(seen.folder), false);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`leaves no server and no folder after ${signal}`, async () => {
      const { child, pid, folder } = await clusterInAnotherProcess();
      child.kill(signal);
      const [, endedBy] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      assert.equal(endedBy, signal);
      await assertEnds(pid);
      assert.equal(existsSync(folder), false);
    });
  }

  // Only Linux can tie a child's life to ours; elsewhere kill -9 leaves the server running.
  if (process.platform === 'linux') {
    it('leaves no server after kill -9', async () => {
      const { child, pid, folder } = await clusterInAnotherProcess();
      child.kill('SIGKILL');
      await once(child, 'exit');
      await assertEnds(pid);
      rmSync(folder, { recursive: true });
    });
  }
});

async function clusterInAnotherProcess() {
  const script = `
    import { startCluster } from ${JSON.stringify(join(import.meta.dirname, 'postgres-cluster.ts'))};
    const cluster = await startCluster();
    process.stdout.write(JSON.stringify({ pid: cluster.pid, folder: cluster.socketFolder }));
    setInterval(() => {}, 1000);
  `;
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], { stdio: [...stdio] });
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, ...(JSON.parse(text.toString()) as { readonly pid: number; readonly folder: string }) };
}

/** A process without a parent is gone only when the system's first process has seen its end. */
async function assertEnds(pid: number): Promise<void> {
  for (let waits = 0; waits < 100 && isAlive(pid); waits += 1) await sleep(50);
  assert.equal(isAlive(pid), false);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
