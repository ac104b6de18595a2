import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { BackupError, type ErrorKind } from '../../src/core/backup-error.ts';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { AzureDouble } from '../support/azure-double.ts';
import { AzureFailure } from '../support/azure-double-request.ts';
import { CannedHttp } from '../support/canned-http.ts';
import { ConnectProxy } from '../support/connect-proxy.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const large = randomLookingBytes(9 * 1024 * 1024);
const wrongKey = Buffer.alloc(64, 'wrong').toString('base64');

const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  put: async (store) => await store.put('x', streamOf('x')),
  'large put': async (store) => await store.put('x', streamOf(large)),
  get: async (store) => await readAll(store.get('x')),
  head: async (store) => await store.head('x'),
  list: async (store) => await listAll(store.list('')),
  delete: async (store) => await store.delete(['x', 'y']),
};

async function assertAllFail(store: ObjectStore, kind: ErrorKind, message: RegExp): Promise<void> {
  for (const [name, call] of Object.entries(calls)) {
    await assert.rejects(call(store), (error) => {
      assert.ok(error instanceof BackupError, name);
      assert.equal(error.kind, kind, name);
      assert.match(error.message, message, name);
      assert.match(error.hint ?? '', /^[A-Z].*\.$/, name);
      return true;
    });
  }
}

describe('Azure that fails', () => {
  let double: AzureDouble;
  before(async () => {
    double = await AzureDouble.start();
  });
  after(async () => await double[Symbol.asyncDispose]());
  afterEach(() => double.reset());

  it('says notFound for a container that does not exist', async () => {
    await using store = await double.openAddress('az://librelogdouble/no-such-container');
    await assertAllFail(store, 'notFound', /"az:\/\/librelogdouble\/no-such-container".*the container does not exist/);
  });

  it('says access for a wrong key, and shows neither that key nor a signature', async () => {
    await using store = await double.open('a', {}, { env: { AZURE_STORAGE_KEY: wrongKey } });
    await assertAllFail(store, 'access', /does not accept the credentials/);
    await assert.rejects(store.head('x'), (error) => {
      assert.doesNotMatch(inspect(error, { depth: 9 }), /d3Jvbmd3cm9uZ3|SharedKey/);
      return true;
    });
  });

  it("says that the clocks differ when this machine's is wrong", async () => {
    double.clockLagMs = 3_600_000;
    await using store = await double.open('a');
    await assertAllFail(store, 'storage', /clock and the server's are too far apart/);
  });

  it('says that an endpoint is no blob service', async () => {
    const html = { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>hello</html>' };
    for (const [answer, message] of [
      [html, /no blob service|not that of a blob service/],
      [{ ...html, status: 404 }, /does not know the account or the container|not that of a blob service/],
    ] as const) {
      await using server = await CannedHttp.start(() => answer);
      await using store = await double.open('a', { azure: { endpoint: `${server.endpoint}/acct` } });
      for (const name of ['put', 'get', 'head', 'list']) {
        await assert.rejects(calls[name]?.(store) ?? Promise.resolve(), { name: 'BackupError', message }, name);
      }
    }
  });

  const failures: readonly [string, number, string, ErrorKind, RegExp][] = [
    ['put', 403, 'AuthorizationPermissionMismatch', 'access', /permission denied/],
    ['get', 403, 'AuthorizationPermissionMismatch', 'access', /permission denied/],
    ['list', 403, 'AuthorizationPermissionMismatch', 'access', /permission denied/],
    ['delete', 403, 'AuthorizationPermissionMismatch', 'access', /permission denied/],
    ['list', 403, 'AuthorizationFailure', 'access', /permission denied/],
    ['head', 403, 'KeyBasedAuthenticationNotPermitted', 'access', /does not allow account keys/],
    ['put', 403, 'AccountIsDisabled', 'access', /the account is disabled/],
    ['put', 507, 'InsufficientStorage', 'storage', /the store is full/],
    ['put', 409, 'ContainerBeingDeleted', 'notFound', /is being deleted/],
    ['put', 409, 'InvalidBlobType', 'conflict', /a blob of another type/],
    ['put', 412, 'LeaseIdMissing', 'storage', /holds a lease/],
    ['delete', 412, 'LeaseIdMissing', 'storage', /holds a lease/],
    ['delete', 409, 'SnapshotsPresent', 'storage', /it has snapshots/],
    ['put', 400, 'BlobAccessTierNotSupportedForAccountType', 'config', /does not have this access tier/],
    ['get', 409, 'BlobBeingRehydrated', 'storage', /still being rehydrated/],
    ['put', 400, 'InvalidHeaderValue', 'storage', /InvalidHeaderValue, HTTP 400/],
  ];
  const methods: Readonly<Record<string, RegExp>> = {
    put: /^PUT/,
    get: /^GET \S+\/x$/,
    head: /^HEAD/,
    list: /^GET \S+comp=list/,
    delete: /^DELETE/,
  };
  for (const [name, status, code, kind, message] of failures) {
    it(`says ${kind} when a ${name} is answered with ${status} ${code}, at once`, async () => {
      await using store = await double.open('a');
      double.fail(methods[name] ?? /./, new AzureFailure(status, code));
      if (name === 'delete') await store.put('x', streamOf('x'));
      await assert.rejects(calls[name]?.(store) ?? Promise.resolve(), { kind, message });
      assert.equal(double.pendingFaults, 0);
    });
  }

  for (const [status, code] of [
    [503, 'ServerBusy'],
    [500, 'InternalError'],
    [500, 'OperationTimedOut'],
    [429, 'TooManyRequests'],
    [400, 'Md5Mismatch'],
  ] as const) {
    it(`tries again after ${status} ${code}`, async () => {
      await using store = await double.open('a');
      for (const method of Object.values(methods)) double.fail(method, new AzureFailure(status, code));
      for (const block of [/comp=block&/, /comp=blocklist/]) double.fail(block, new AzureFailure(status, code));
      for (const call of Object.values(calls)) await call(store);
      assert.equal(double.pendingFaults, 0);
    });
  }

  it('waits as long as an overloaded server asks for', async () => {
    const policy = { attempts: 2, firstDelayMs: 1, maxDelayMs: 500 };
    await using store = await double.open('a', {}, { timings: { patientRetry: policy } });
    double.fail(/^PUT/, new AzureFailure(503, 'ServerBusy'), { 'retry-after': '1' });
    const begun = performance.now();
    await store.put('x', streamOf('x'));
    assert.ok(performance.now() - begun >= 1_000);
  });

  it('does not trust the certificate of an unknown authority', async () => {
    const azure = { endpoint: double.endpoint };
    const env = { AZURE_STORAGE_KEY: double.key };
    await using store = await openStore('az://librelogdouble/backups/a', { azure }, { env });
    await assert.rejects(store.head('x'), {
      kind: 'storage',
      message: /certificate is not trusted/,
      hint: /authority/,
    });
  });

  it('does not wait for ever for a server that takes connections and says nothing', async () => {
    const silent = createServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/acct`;
    const timings = { idleTimeoutMs: 100, retry: { attempts: 2, firstDelayMs: 1, maxDelayMs: 1 } };
    await using store = await double.open('a', { azure: { endpoint } }, { timings });
    await assert.rejects(store.head('x'), { kind: 'storage', message: /cannot reach the server: no answer in time/ });
    silent.close();
  });

  it('gives up on a server that stays overloaded', async () => {
    await using store = await double.open('a');
    for (let attempt = 0; attempt < 3; attempt++) double.fail(/^HEAD/, new AzureFailure(503, 'ServerBusy'));
    await assert.rejects(store.head('x'), { kind: 'storage', message: /overloaded/ });
    assert.equal(double.pendingFaults, 0);
  });

  for (const createOnly of [false, true]) {
    for (const [request, bytes] of [
      [/^PUT \S+\/m$/, Buffer.from('x')],
      [/^PUT \S+comp=blocklist/, large],
    ] as const) {
      it(`counts a put as done when only its answer is lost (${createOnly}, ${bytes.byteLength} bytes)`, async () => {
        await using store = await double.open('a');
        double.loseAnswer(request);
        const put = await store.put('m', streamOf(bytes), { createOnly });
        assert.equal(double.pendingFaults, 0);
        assert.deepEqual(await store.head('m'), put);
      });
    }
  }

  it('does not call it a conflict when the answer to the put is lost and nobody can look whose the blob is', async () => {
    await using store = await double.open('a');
    async function* armed(): AsyncGenerator<Uint8Array> {
      double.loseAnswer(/^PUT \S+\/m$/);
      for (let attempt = 0; attempt < 3; attempt++) double.fail(/^HEAD/, new AzureFailure(503, 'ServerBusy'));
      yield Buffer.from('x');
    }
    await assert.rejects(store.put('m', armed(), { createOnly: true }), { kind: 'storage', message: /overloaded/ });
    assert.equal(double.pendingFaults, 0);
  });

  it('lets one of two large create-only bodies win, whose blocks do not mix', async () => {
    await using store = await double.open('a');
    const bodies = [1, 2, 3].map((seed) => randomLookingBytes(17 * 1024 * 1024, seed));
    const puts = bodies.map(async (bytes) => await store.put('m', streamOf(bytes), { createOnly: true }));
    const outcomes = await Promise.allSettled(puts);
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
    for (const [index, outcome] of outcomes.entries()) {
      if (index !== winner) assert.equal(outcome.status === 'rejected' && outcome.reason.kind, 'conflict');
    }
    assert.ok((await readAll(store.get('m'))).equals(bodies[winner] ?? Buffer.alloc(0)));
  });

  it('shows nothing of the blocks that a failed upload leaves with the service, and replaces them', async () => {
    await using store = await double.open('a');
    async function* dying(): AsyncGenerator<Uint8Array> {
      yield large;
      while (double.blobs.uncommitted.size === 0) await sleep(1);
      throw new Error('died');
    }
    await assert.rejects(store.put('x', dying()), /died/);
    assert.deepEqual([...double.blobs.uncommitted.keys()], ['a/x']);
    assert.deepEqual(await listAll(store.list('')), []);
    assert.equal(await store.head('x'), null);
    await store.delete(['x']);
    await store.put('x', streamOf(large), { createOnly: true });
    assert.equal(double.blobs.uncommitted.size, 0);
  });

  it('lists over many pages, and leaves out what is no object', async () => {
    await using store = await double.open('a');
    for (let index = 0; index < 10; index++) await store.put(`b/${index}`, streamOf('x'));
    const blob = double.blobs.blobs.get('a/b/0');
    assert.ok(blob);
    double.blobs.blobs.set('a/b/folder/', blob);
    assert.equal((await listAll(store.list('b/'))).length, 10);
    await store.delete((await listAll(store.list(''))).map(({ key }) => key));
    assert.deepEqual([...double.blobs.blobs.keys()], ['a/b/folder/']);
  });

  it('says integrity when an object is replaced between the list and the read', async () => {
    await using store = await double.open('a');
    await store.put('x', streamOf('old'));
    const [listed] = await listAll(store.list(''));
    await store.put('x', streamOf('new'));
    const read = readAll(store.get('x', { version: listed?.version ?? '' }));
    await assert.rejects(read, { kind: 'integrity', message: /"x".*has changed since it was looked up/ });
  });

  it('goes through the proxy that the environment names, unless NO_PROXY names the server', async () => {
    await using proxy = await ConnectProxy.start();
    const env = { AZURE_STORAGE_KEY: double.key, HTTPS_PROXY: proxy.endpoint };
    await using store = await double.open('a', {}, { env });
    await store.put('x', streamOf(large));
    assert.ok((await readAll(store.get('x'))).equals(large));
    assert.ok(proxy.tunnels > 0);
    const before = proxy.tunnels;
    await using direct = await double.open('a', {}, { env: { ...env, NO_PROXY: '127.0.0.1' } });
    await direct.head('x');
    assert.equal(proxy.tunnels, before);
  });
});
