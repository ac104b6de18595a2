import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { makeBucket, s3ServerName, unfinishedUploads, withServer } from '../support/s3-server.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const mebibyte = 1024 * 1024;
const name = `librelog-test-full-${randomUUID()}`;

/** A server that is full: Ceph by a user's quota, MinIO by a small file system of its own, which needs the rights of root. */
interface FullServer {
  readonly endpoint: string;
  /** Leaves no room for what comes now. */
  readonly fill: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

async function startCeph(): Promise<FullServer> {
  const folder = process.env['LIBRELOG_TEST_S3_DIR'] ?? assert.fail('LIBRELOG_TEST_S3_DIR is not set');
  useExports(run('ceph-rgw.sh', ['limited-user', folder, String(24 * mebibyte)]));
  const stop = async (): Promise<void> => {};
  return { endpoint: String(process.env['LIBRELOG_TEST_S3_ENDPOINT']), fill: async () => {}, stop };
}

async function startMinio(): Promise<FullServer> {
  const mountPoint = await mkdtemp(join(tmpdir(), 'small-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2000m', 'librelog-test', mountPoint]);
  useExports(run('minio.sh', ['start', join(mountPoint, 'minio')]));
  const fill = async (): Promise<void> => {
    const [, usedKib = ''] = execFileSync('df', ['--output=used', mountPoint], { encoding: 'utf8' }).split('\n');
    execFileSync('mount', ['-o', `remount,size=${Number(usedKib) + 16 * 1024}k`, mountPoint]);
  };
  const stop = async (): Promise<void> => {
    run('minio.sh', ['stop', join(mountPoint, 'minio')]);
    // Lazily: the threads of a killed server close its files one by one.
    execFileSync('umount', ['--lazy', mountPoint]);
    await rmdir(mountPoint);
  };
  return { endpoint: String(process.env['LIBRELOG_TEST_S3_ENDPOINT']), fill, stop };
}

function run(script: string, args: readonly string[]): string {
  return execFileSync(`test/servers/${script}`, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

function useExports(text: string): void {
  for (const [, name = '', value] of text.matchAll(/^export (\w+)=(.*)$/gm)) process.env[name] = value;
}

describe('S3 server that is full', () => {
  const saved = { ...process.env };
  let server: FullServer;

  before(async () => {
    server = s3ServerName() === 'ceph-rgw' ? await startCeph() : await startMinio();
    await makeBucket(name);
  });
  after(async () => {
    await server.stop();
    process.env = saved;
  });

  it('says that it is full in the middle of an upload, leaves no trace of it, and keeps what was there', async () => {
    const { endpoint } = server;
    const retry = { attempts: 2, firstDelayMs: 10, maxDelayMs: 20 };
    const timings = { retry, patientRetry: retry };
    await using store = await openStore(`s3://${name}/p`, withServer({ s3: { endpoint } }), { timings });
    await store.put('old', streamOf('old'));
    const chunk = randomLookingBytes(mebibyte);
    let sent = 0;
    async function* body(): AsyncGenerator<Uint8Array> {
      // More than the parts that are in flight together: those are counted only when they have arrived.
      for (let count = 0; count < 200; count++) {
        if ((sent += 1) === 12) await server.fill();
        yield chunk;
      }
    }
    for (const options of [{}, { createOnly: true }]) {
      await assert.rejects(store.put('new', body(), options), {
        kind: 'storage',
        message: /cannot store "new" in "s3:.*: the store is full/,
        hint: /Free space in the store, or raise its quota/,
      });
    }
    assert.ok(sent >= 12, 'the upload was refused before it began');
    assert.deepEqual(
      (await listAll(store.list(''))).map(({ key }) => key),
      ['old'],
    );
    assert.deepEqual(await unfinishedUploads(store, { endpoint }), []);
    assert.equal((await readAll(store.get('old'))).toString(), 'old');
    await store.delete(['old']);
  });
});
