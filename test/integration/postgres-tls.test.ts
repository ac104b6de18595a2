import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { collect } from '../../src/core/byte-stream.ts';
import { findClientTool } from '../../src/postgres/client-tools.ts';
import { resolveConnection } from '../../src/postgres/connection.ts';
import { planPgDump } from '../../src/postgres/dump-plan.ts';
import { startPgDump } from '../../src/postgres/pg-dump.ts';
import { openSession } from '../../src/postgres/session.ts';
import { serverAccount } from '../support/postgres-account.ts';
import { startCluster, type Cluster } from '../support/postgres-cluster.ts';

let cluster: Cluster;
let folder: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lb-tls-'));
  chmodSync(folder, 0o755);
  makeCertificates();
  const settings = { ssl: 'on', ssl_cert_file: join(folder, 'server.crt'), ssl_key_file: join(folder, 'server.key') };
  cluster = await startCluster({ settings });
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** An authority, a certificate of it for `localhost` (not for 127.0.0.1), another authority, an encrypted client key. */
function makeCertificates(): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const newKey = ['-newkey', 'rsa:2048', '-days', '2'];
  for (const name of ['root', 'other']) {
    openssl(
      'req',
      '-x509',
      '-nodes',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
      '-subj',
      `/CN=${name}`,
    );
  }
  const signed = ['-CA', 'root.crt', '-CAkey', 'root.key', '-addext', 'subjectAltName=DNS:localhost'];
  openssl(
    'req',
    '-x509',
    '-nodes',
    ...newKey,
    ...signed,
    '-keyout',
    'server.key',
    '-out',
    'server.crt',
    '-subj',
    '/CN=localhost',
  );
  const client = ['-CA', 'root.crt', '-CAkey', 'root.key', '-passout', 'pass:hunter3'];
  openssl('req', '-x509', ...newKey, ...client, '-keyout', 'client.key', '-out', 'client.crt', '-subj', '/CN=postgres');
  chmodSync(join(folder, 'server.key'), 0o600);
  chmodSync(join(folder, 'client.key'), 0o600);
  const account = serverAccount();
  if (account !== null) chownSync(join(folder, 'server.key'), account.uid, account.gid);
}

function url(host: string, parameters: string): string {
  const { user, password } = cluster.superuser;
  return `postgresql://${user}:${password}@${host}:${cluster.port}/postgres?${parameters}`;
}

/** Whether the session is encrypted. */
async function isEncrypted(database: string): Promise<unknown> {
  await using session = await openSession(resolveConnection(database, { HOME: folder }), { applicationName: 'test' });
  const [row] = await session.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  return row?.['ssl'];
}

const root = () => `sslrootcert=${join(folder, 'root.crt')}`;
const other = () => `sslrootcert=${join(folder, 'other.crt')}`;

describe('TLS to the server', () => {
  it('is used when the server has it, unless told otherwise', async () => {
    assert.equal(await isEncrypted(url('localhost', '')), true);
    for (const mode of ['prefer', 'require'])
      assert.equal(await isEncrypted(url('localhost', `sslmode=${mode}`)), true);
    for (const mode of ['disable', 'allow'])
      assert.equal(await isEncrypted(url('localhost', `sslmode=${mode}`)), false);
  });

  it('is never used on a Unix socket', async () => {
    const { user, password } = cluster.superuser;
    const text = `host=${cluster.socketFolder} port=${cluster.port} user=${user} password=${password} dbname=postgres`;
    assert.equal(await isEncrypted(`${text} sslmode=require`), false);
  });

  it('verifies the authority', async () => {
    assert.equal(await isEncrypted(url('127.0.0.1', `sslmode=verify-ca&${root()}`)), true);
    for (const mode of ['verify-ca', 'verify-full', 'require']) {
      await assert.rejects(isEncrypted(url('localhost', `sslmode=${mode}&${other()}`)), {
        kind: 'postgres',
        message: /the certificate of the server is not trusted/,
        hint: /sslrootcert/,
      });
    }
  });

  it('verifies the name of the host', async () => {
    assert.equal(await isEncrypted(url('localhost', `sslmode=verify-full&${root()}`)), true);
    await assert.rejects(isEncrypted(url('127.0.0.1', `sslmode=verify-full&${root()}`)), {
      kind: 'postgres',
      message: /the certificate of the server is for another host/,
    });
    assert.equal(await isEncrypted(url('localhost', `hostaddr=127.0.0.1&sslmode=verify-full&${root()}`)), true);
  });

  it('is given up for a plain connection where that is preferred to none', async () => {
    assert.equal(await isEncrypted(url('localhost', `sslmode=prefer&${other()}`)), false);
  });

  it('works with a client key that has a passphrase, for pg_dump too', async () => {
    const client = `sslcert=${join(folder, 'client.crt')}&sslkey=${join(folder, 'client.key')}&sslpassword=hunter3`;
    const database = url('localhost', `sslmode=verify-full&${root()}&${client}`);
    assert.equal(await isEncrypted(database), true);
    const tool = await findClientTool('pg_dump', { binDir: cluster.binFolder, env: process.env });
    const plan = planPgDump({ format: 'custom', filters: {} });
    await using dump = startPgDump({ tool, plan, connection: resolveConnection(database, { HOME: folder }) });
    assert.ok((await collect(dump.output, 1e6)).byteLength > 0);
  });
});
