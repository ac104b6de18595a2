import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { DecryptionRequest } from '../../src/backup/open-decryption.ts';
import { verifyKeys } from '../../src/backup/verify-keys.ts';
import { objectKey } from '../../src/catalog/catalog.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import { collect, streamOf, type ByteStream } from '../../src/core/byte-stream.ts';
import type { GetOptions, ObjectStore } from '../../src/storage/object-store.ts';
import { CountingStore } from '../support/counting-store.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { quietContext } from '../support/quiet-context.ts';
import { idOf, makeSmallBackup, type SmallBackup } from '../support/small-backups.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-verify-keys-'));
after(async () => await rm(folder, { recursive: true }));

const env = { ONE: randomBytes(32).toString('hex'), TWO: randomBytes(32).toString('hex'), PASS: 'a passphrase' };
const context = quietContext(env);
const aes = { method: 'aes-256', keys: ['env:ONE'] } as const;
const openPgp = { method: 'openpgp', recipients: [], passphrase: 'env:PASS' } as const;
const large = randomBytes(3 * 1024 * 1024);

async function make(store: ObjectStore, number: number, changes: Partial<SmallBackup> = {}): Promise<Manifest> {
  return await makeSmallBackup({ store, id: idOf(number), encryption: aes, ...changes }, context);
}

async function verify(store: ObjectStore, keys: DecryptionRequest = { keys: ['env:ONE'] }): Promise<string[]> {
  const verified = await verifyKeys({ store, keys }, context);
  return verified.map((backup) => (backup.outcome === 'failed' ? backup.problem.message : backup.openedBy.provider));
}

/** Replaces the stored object of a backup. */
async function edit(store: ObjectStore, manifest: Manifest, change: (bytes: Buffer) => Uint8Array): Promise<void> {
  const key = objectKey(manifest, manifest.objects[0]?.name ?? '');
  const bytes = await collect(store.get(key), Number.POSITIVE_INFINITY);
  await store.put(key, streamOf(change(bytes)));
}

function flip(offset: number): (bytes: Buffer) => Buffer {
  return (bytes) => {
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    return bytes;
  };
}

describe('verifyKeys', () => {
  it('says of every backup whether the keys open it, and which did', async () => {
    const store = new MemoryStore();
    await make(store, 1);
    await make(store, 2, { encryption: { method: 'aes-256', keys: ['env:TWO'] } });
    await make(store, 3, { content: large });
    await make(store, 4, { content: new Uint8Array() });
    await make(store, 5, { encryption: { method: 'aes-256', keys: ['env:TWO', 'env:ONE'] } });
    const verified = await verifyKeys({ store, keys: { keys: ['env:ONE'] } }, context);
    const one = openedByOne(verified[0]);
    assert.deepEqual(
      verified.map((backup) => (backup.outcome === 'failed' ? backup.problem.kind : backup.openedBy)),
      [one, 'key', one, one, one],
    );
    assert.deepEqual(await verify(store, { keys: ['env:TWO', 'env:ONE'] }), Array(5).fill('key'));
  });

  it('opens by passphrase, and OpenPGP messages, small and large', async () => {
    const store = new MemoryStore();
    await make(store, 1, { encryption: { method: 'aes-256', keys: [], passphrase: 'env:PASS' } });
    await make(store, 2, { encryption: openPgp });
    await make(store, 3, { encryption: openPgp, content: large });
    assert.deepEqual(await verify(store, { passphrase: 'env:PASS' }), ['passphrase', 'openpgp', 'openpgp']);
    for (const message of await verify(store)) assert.match(message, /^no OpenPGP key given$|no key fits/);
  });

  for (const [name, break_] of Object.entries({
    'an object that is gone': async (store: ObjectStore, made: Manifest) =>
      await store.delete([objectKey(made, made.objects[0]?.name ?? '')]),
    'a changed header': async (store: ObjectStore, made: Manifest) => await edit(store, made, flip(40)),
    'a changed first segment': async (store: ObjectStore, made: Manifest) => await edit(store, made, flip(2000)),
    'an object cut in its first segment': async (store: ObjectStore, made: Manifest) =>
      await edit(store, made, (bytes) => bytes.subarray(0, 100_000)),
    'an object cut in its header': async (store: ObjectStore, made: Manifest) =>
      await edit(store, made, (bytes) => bytes.subarray(0, 100)),
    'an edited manifest': async (store: ObjectStore, made: Manifest) => {
      const edited = JSON.stringify({ ...made, startedAt: '2020-01-01T00:00:00.000Z' });
      await store.put(objectKey(made, 'manifest.json'), streamOf(edited));
    },
  })) {
    it(`finds ${name}`, async () => {
      const store = new MemoryStore();
      await make(store, 1);
      await break_(store, await make(store, 2, { content: large }));
      const [good, bad] = await verifyKeys({ store, keys: { keys: ['env:ONE'] } }, context);
      assert.equal(good?.outcome, 'opened');
      assert.ok(bad?.outcome === 'failed');
      assert.equal(bad.problem.kind, 'integrity');
      assert.match(bad.problem.message, new RegExp(idOf(2)));
    });
  }

  it('finds a changed beginning of an OpenPGP message', async () => {
    const store = new MemoryStore();
    await edit(store, await make(store, 1, { encryption: openPgp }), flip(90));
    const [bad] = await verifyKeys({ store, keys: { passphrase: 'env:PASS' } }, context);
    assert.ok(bad?.outcome === 'failed');
    assert.equal(bad.problem.kind, 'integrity');
  });

  it('reads the beginning of an object alone', async () => {
    const store = new ReadingStore();
    await make(store, 1, { content: Buffer.concat([large, large]) });
    await make(store, 2, { content: Buffer.concat([large, large]), encryption: openPgp });
    assert.deepEqual(await verify(store, { keys: ['env:ONE'], passphrase: 'env:PASS' }), ['key', 'openpgp']);
    assert.ok(store.readBytes < 2.5 * 1024 * 1024, `${store.readBytes} bytes were read`);
  });

  it('ends at a failure of the store', async () => {
    const store = new ReadingStore();
    await make(store, 1);
    store.failure = new BackupError('access', 'denied');
    await assert.rejects(verify(store), { kind: 'access', message: 'denied' });
  });

  it('has at most 8 backups in flight, and asks once for each key', async () => {
    const store = new CountingStore();
    for (let number = 0; number < 40; number += 1) await make(store, number);
    await writeFile(join(folder, 'one'), env.ONE);
    const key = `exec:sh -c "echo one >> ${folder}/fetched; cat ${folder}/one"`;
    const surroundings = quietContext({ PATH: process.env['PATH'] });
    const verified = await verifyKeys({ store, keys: { keys: [key] } }, surroundings);
    assert.equal(verified.filter(({ outcome }) => outcome === 'opened').length, 40);
    assert.equal(store.mostInFlight, 8);
    assert.equal(await readFile(join(folder, 'fetched'), 'utf8'), 'one\n');
  });
});

function openedByOne(first: Awaited<ReturnType<typeof verifyKeys>>[number] | undefined): unknown {
  assert.ok(first?.outcome === 'opened' && first.openedBy.provider === 'key');
  assert.match(first.openedBy.keyId ?? '', /^[0-9a-f]{16}$/);
  return first.openedBy;
}

class ReadingStore extends MemoryStore {
  readBytes = 0;
  failure: BackupError | null = null;

  override async *get(key: string, options?: GetOptions): ByteStream {
    if (this.failure !== null) throw this.failure;
    for await (const chunk of super.get(key, options)) {
      this.readBytes += chunk.byteLength;
      yield chunk;
    }
  }
}
