import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { LockMode, LockRequest } from '../../src/core/object-lock.ts';
import { AzureDouble } from '../support/azure-double.ts';
import { AzureFailure, headerOf } from '../support/azure-double-request.ts';
import { randomLookingBytes, readAll } from '../support/test-bytes.ts';

const hourMs = 3_600_000;
const large = randomLookingBytes(9 * 1024 * 1024);

function retention(mode: LockMode): LockRequest {
  return { retention: { mode, durationMs: hourMs }, legalHold: false };
}

describe('immutability, versions, tiers and tags of Azure', () => {
  let double: AzureDouble;
  before(async () => {
    double = await AzureDouble.start();
  });
  after(async () => await double[Symbol.asyncDispose]());
  afterEach(() => double.reset());

  for (const mode of ['governance', 'compliance'] as const) {
    for (const [size, bytes] of Object.entries({ small: Buffer.from('x'), large })) {
      it(`locks a ${size} object for as long as asked for (${mode}), and says until when it cannot be deleted`, async () => {
        double.behaviour.takesLocks = true;
        await using store = await double.open('a', { lock: retention(mode) });
        const before = Date.now();
        const put = await store.put('x', streamOf(bytes));
        const until = put.lock?.retention?.until ?? '';
        assert.equal(put.lock?.retention?.mode, mode);
        assert.ok(Date.parse(until) >= before + hourMs && Date.parse(until) <= Date.now() + hourMs + 1000);
        assert.deepEqual((await store.head('x'))?.lock, put.lock);
        const expected = {
          kind: 'policy',
          message: new RegExp(`"x".*locked \\(${mode}\\) until ${until}`),
          hint: /lock/,
        };
        await assert.rejects(store.delete(['x']), expected);
        await assert.rejects(store.delete(['none', 'x', 'other']), expected);
        await assert.rejects(store.put('x', streamOf('new')), { kind: 'policy' });
        assert.equal((await readAll(store.get('x'))).byteLength, bytes.byteLength);
      });
    }
  }

  it('sets a legal hold, and says that it forbids the deletion', async () => {
    double.behaviour.takesLocks = true;
    await using store = await double.open('a', { lock: { legalHold: true } });
    assert.deepEqual((await store.put('x', streamOf('x'))).lock, { legalHold: true });
    await assert.rejects(store.delete(['x']), { kind: 'policy', message: /under legal hold/ });
  });

  it('does not hide a locked object behind its versions', async () => {
    double.behaviour.takesLocks = true;
    double.behaviour.keepsVersions = true;
    await using store = await double.open('a', { lock: retention('compliance') });
    await store.put('x', streamOf('x'));
    await assert.rejects(store.delete(['x']), { kind: 'policy', message: /locked \(compliance\) until/ });
    assert.equal((await readAll(store.get('x'))).toString(), 'x');
  });

  it('passes on that the service refuses a deletion for a lock that cannot be seen', async () => {
    await using store = await double.open('a');
    await store.put('x', streamOf('x'));
    double.fail(/^DELETE/, new AzureFailure(409, 'BlobImmutableDueToPolicy'));
    await assert.rejects(store.delete(['x']), {
      kind: 'policy',
      message: /cannot delete "x".*it is locked/,
      hint: /lock/,
    });
  });

  for (const [ignored, lock] of [
    ['retention', retention('governance')],
    ['legalHold', { legalHold: true }],
  ] as const) {
    it(`removes an object again when the server ignores its ${ignored}, and fails with policy`, async () => {
      double.behaviour.takesLocks = true;
      double.behaviour.ignores.add(ignored);
      await using store = await double.open('a', { lock });
      await assert.rejects(store.put('x', streamOf('x')), { kind: 'policy', message: /was not stored as asked/ });
      double.behaviour.keepsVersions = true;
      await assert.rejects(store.put('x', streamOf(large)), { kind: 'policy', message: /was not stored as asked/ });
      assert.deepEqual([double.blobs.blobs.size, double.blobs.versions.size], [0, 0]);
    });
  }

  it('counts a locked create-only put as done when only its answer is lost', async () => {
    double.behaviour.takesLocks = true;
    await using store = await double.open('a', { lock: retention('compliance') });
    double.loseAnswer(/^PUT \S+\/m$/);
    assert.equal((await store.put('m', streamOf('x'), { createOnly: true })).lock?.retention?.mode, 'compliance');
    double.loseAnswer(/^PUT \S+\/n$/);
    assert.equal((await store.put('n', streamOf('x'))).lock?.retention?.mode, 'compliance');
    assert.equal(double.pendingFaults, 0);
  });

  it('says config when the container takes no locks', async () => {
    await using store = await double.open('a', { lock: retention('governance') });
    const message = /refuses it with a lock \(BlobOperationNotSupported, HTTP 409\)$/;
    const expected = { kind: 'config', message, hint: /Enable versioning/ };
    await assert.rejects(store.put('x', streamOf('x')), expected);
    await assert.rejects(store.put('x', streamOf(large)), expected);
  });

  for (const [status, code, message] of [
    [400, 'Md5Mismatch', /Md5Mismatch, HTTP 400/],
    [400, 'InvalidHeaderValue', /InvalidHeaderValue, HTTP 400/],
    [400, 'MetadataTooLarge', /MetadataTooLarge, HTTP 400/],
    [409, 'SnapshotsPresent', /it has snapshots/],
    [409, 'LeaseIdMismatchWithBlobOperation', /LeaseIdMismatchWithBlobOperation, HTTP 409/],
  ] as const) {
    it(`does not take ${code} for a refusal of the lock`, async () => {
      double.behaviour.takesLocks = true;
      await using store = await double.open('a', { lock: retention('governance') });
      // As often as the longest of all retries.
      for (let attempt = 0; attempt < 4; attempt++) double.fail(/^PUT \S+\/x$/, new AzureFailure(status, code));
      await assert.rejects(store.put('x', streamOf('x')), { kind: 'storage', message });
      for (let attempt = 0; attempt < 4; attempt++)
        double.fail(/^PUT \S+comp=blocklist/, new AzureFailure(status, code));
      await assert.rejects(store.put('x', streamOf(large)), { kind: 'storage', message });
      assert.equal(double.blobs.blobs.size, 0);
    });
  }

  it('reads the version that it is pinned to although the object was replaced', async () => {
    double.behaviour.keepsVersions = true;
    await using store = await double.open('a');
    const first = await store.put('x', streamOf('first'));
    assert.match(first.version ?? '', /^\d{4}-/);
    await store.put('x', streamOf('second'));
    assert.equal((await readAll(store.get('x', { version: first.version ?? '' }))).toString(), 'first');
    assert.equal((await readAll(store.get('x'))).toString(), 'second');
  });

  it('asks for the tier, but not for manifests, and tags both', async () => {
    await using store = await double.open('a', { azure: { tier: 'cool' }, tags: { kind: 'backup', host: 'db 1' } });
    await store.put('b/data', streamOf('x'));
    await store.put('b/large', streamOf(large));
    await store.put('b/manifest.json', streamOf('{}'));
    const commits = double.requests.filter(({ method, url }) => method === 'PUT' && !url.search.includes('blockid'));
    assert.deepEqual(
      commits.map((commit) => headerOf(commit, 'x-ms-access-tier')),
      ['Cool', 'Cool', undefined],
    );
    for (const commit of commits) assert.equal(headerOf(commit, 'x-ms-tags'), 'kind=backup&host=db%201');
  });

  for (const [size, bytes] of Object.entries({ small: Buffer.from('x'), large })) {
    it(`removes a ${size} object again when the server ignores its tier, and fails with policy`, async () => {
      double.behaviour.ignores.add('tier');
      await using store = await double.open('a', { azure: { tier: 'Cool' } });
      const message = /not stored as asked: the tier Cool was asked for, and the server says Hot$/;
      await assert.rejects(store.put('x', streamOf(bytes)), { kind: 'policy', message });
      assert.equal(double.blobs.blobs.size, 0);
      await store.put('manifest.json', streamOf('{}'));
    });

    it(`removes a ${size} object again when the server ignores its tags, and fails with policy`, async () => {
      double.behaviour.ignores.add('tags');
      await using store = await double.open('a', { tags: { kind: 'backup', host: 'db 1' } });
      const message = /not stored as asked: 2 tags were asked for, and the server has 0 of them$/;
      await assert.rejects(store.put('x', streamOf(bytes)), { kind: 'policy', message });
      assert.equal(double.blobs.blobs.size, 0);
    });
  }

  it('takes tags on trust that the server neither counts nor lets be read', async () => {
    double.behaviour.ignores.add('tags');
    await using store = await double.open('a', { tags: { kind: 'backup' } });
    double.fail(/^GET \S+comp=tags/, new AzureFailure(403, 'AuthorizationPermissionMismatch'));
    await store.put('x', streamOf('x'));
    assert.equal(double.pendingFaults, 0);
  });

  it('asks for no tags that the server counts', async () => {
    await using store = await double.open('a', { tags: { kind: 'backup', empty: '' } });
    await store.put('x', streamOf('x'));
    assert.deepEqual(
      double.requests.filter(({ method }) => method === 'GET'),
      [],
    );
  });

  it('says that an object in the archive tier must be rehydrated', async () => {
    await using store = await double.open('a', { azure: { tier: 'Archive' } });
    await store.put('x', streamOf('x'));
    const expected = { kind: 'storage', message: /"x".*archive tier/, hint: /Rehydrate/ };
    await assert.rejects(readAll(store.get('x')), expected);
    assert.equal((await store.head('x'))?.sizeBytes, 1);
  });

  it('stores with credentials that may only write', async () => {
    await using store = await double.open('a');
    for (let index = 0; index < 2; index++)
      double.fail(/^HEAD/, new AzureFailure(403, 'AuthorizationPermissionMismatch'));
    const put = await store.put('x', streamOf('x'), { createOnly: true });
    assert.deepEqual(put.serverEncryption, { method: 'azure-managed' });
    assert.equal(double.pendingFaults, 0);
  });

  it('takes no lock on trust from credentials that may only write', async () => {
    double.behaviour.takesLocks = true;
    double.behaviour.ignores.add('retention');
    await using store = await double.open('a', { lock: retention('governance') });
    for (let index = 0; index < 2; index++)
      double.fail(/^HEAD/, new AzureFailure(403, 'AuthorizationPermissionMismatch'));
    await assert.rejects(store.put('x', streamOf('x')), { kind: 'policy', message: /may not read its lock/ });
    assert.equal(double.blobs.blobs.size, 0);
  });
});
