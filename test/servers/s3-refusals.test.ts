import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, it, mock } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { withoutRights } from '../support/s3-restricted.ts';
import { makeBucket, openTestStore, s3Endpoint, s3Traits, withServer } from '../support/s3-server.ts';
import { ThrowawayBucket } from '../support/s3-throwaway-bucket.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const large = randomLookingBytes(20 * 1024 * 1024);

describe('S3 credentials without one right', () => {
  const denied = { kind: 'access', hint: /allow them to/ };

  it('says access when they may not put, and keeps what is there', async () => {
    await using made = await ThrowawayBucket.make();
    await using store = await openStore(`s3://${made.name}/p`, withServer({}));
    await store.put('a', streamOf('old'));
    await withoutRights(made, ['s3:PutObject'], async () => {
      await using store = await openStore(`s3://${made.name}/p`, withServer({}));
      const expected = { ...denied, message: /cannot store "a" in "s3:.*: permission denied/ };
      await assert.rejects(store.put('a', streamOf('x')), expected);
      await assert.rejects(store.put('a', streamOf(large)), expected);
      assert.equal((await readAll(store.get('a'))).toString(), 'old');
    });
    assert.deepEqual((await made.versions()).length, 1);
  });

  it('says access when they may not list', async () => {
    await using made = await ThrowawayBucket.make();
    await withoutRights(made, ['s3:ListBucket'], async () => {
      await using store = await openStore(`s3://${made.name}/p`, withServer({}));
      await store.put('a', streamOf('x'));
      await assert.rejects(listAll(store.list('')), { ...denied, message: /cannot list "s3:.*: permission denied/ });
      assert.equal((await readAll(store.get('a'))).toString(), 'x');
    });
  });

  it('says access when they may not delete, and deletes nothing', async () => {
    await using made = await ThrowawayBucket.make();
    await withoutRights(made, ['s3:DeleteObject'], async () => {
      await using store = await openStore(`s3://${made.name}/p`, withServer({}));
      await store.put('a', streamOf('x'));
      await store.put('b', streamOf('x'));
      await assert.rejects(store.delete(['a']), {
        ...denied,
        message: /cannot delete "a" in "s3:.*: permission denied/,
      });
      await assert.rejects(store.delete(['a', 'b']), { ...denied, message: /cannot delete .*: permission denied/ });
      assert.equal((await listAll(store.list(''))).length, 2);
    });
  });

  it('says access when they may not read, which is not "not there"', async () => {
    await using made = await ThrowawayBucket.make();
    await using owner = await openStore(`s3://${made.name}/p`, withServer({}));
    await owner.put('a', streamOf('x'));
    await withoutRights(made, ['s3:GetObject'], async () => {
      await using store = await openStore(`s3://${made.name}/p`, withServer({}));
      await assert.rejects(readAll(store.get('a')), { ...denied, message: /cannot read "a"/ });
      await assert.rejects(store.head('a'), { ...denied, message: /cannot look at "a"/ });
      assert.equal((await store.put('b', streamOf(large))).sizeBytes, large.byteLength);
    });
  });
});

describe('S3 that is asked the wrong way', () => {
  before(async () => await makeBucket());

  if (s3Traits().checksRegion) {
    it('says config for the region of another place', async () => {
      await using store = await openTestStore({ s3: { region: 'eu-west-9' } });
      const expected = { kind: 'config', message: /another region/, hint: /Give the region/ };
      await assert.rejects(store.put('a', streamOf('x')), expected);
      await assert.rejects(listAll(store.list('')), expected);
    });
  }

  it('says what is wrong with an endpoint of the other scheme', async () => {
    await using store = await openTestStore({ s3: { endpoint: s3Endpoint().replace('http:', 'https:') } });
    await assert.rejects(listAll(store.list('')), {
      kind: 'config',
      message: /not an S3 server/,
      hint: /http or https/,
    });
  });

  const tlsEndpoint = process.env['LIBRELOG_TEST_S3_TLS_ENDPOINT'];
  if (tlsEndpoint !== undefined) {
    it('says what is wrong with http to a server that speaks TLS', async () => {
      await using store = await openTestStore({ s3: { endpoint: tlsEndpoint.replace('https:', 'http:') } });
      await assert.rejects(listAll(store.list('')), { kind: 'config', message: /not an S3 server/ });
    });
  }

  it('says config for a storage class that the server does not have', async () => {
    await using store = await openTestStore({ s3: { storageClass: 'NO_SUCH_CLASS' } });
    await assert.rejects(store.put('a', streamOf('x')), { kind: 'config', hint: /storage class/ });
    assert.equal((await store.put('b/manifest.json', streamOf('{}'))).sizeBytes, 2);
  });

  it('keeps the keys of a prefix with odd characters apart', async () => {
    const prefix = `${randomUUID()}/a b+c%20d/ünï&=;'(!)*~`;
    await using store = await openStore(`s3://librelog-test/${prefix}`, withServer({ tags: { a: 'b' } }));
    await store.put('m', streamOf('x'), { createOnly: true });
    assert.deepEqual(
      (await listAll(store.list(''))).map(({ key }) => key),
      ['m'],
    );
    assert.equal((await readAll(store.get('m'))).toString(), 'x');
    await store.delete(['m', 'none']);
    assert.equal(await store.head('m'), null);
  });

  it('works in a bucket with dots in its name', async () => {
    const name = `dots.in.${randomUUID()}`;
    await makeBucket(name);
    await using store = await openStore(`s3://${name}/p`, withServer({}));
    await store.put('a', streamOf('x'));
    assert.equal((await readAll(store.get('a'))).toString(), 'x');
    await store.delete(['a']);
  });

  it('says notFound for an object that is deleted between list and read, and integrity for one that is replaced', async () => {
    await using store = await openTestStore();
    await store.put('a', streamOf('x'));
    await store.put('b', streamOf('x'));
    const [a, b] = await listAll(store.list(''));
    await store.delete(['a']);
    await store.put('b', streamOf('y'));
    const pin = (version: string | undefined) => (version === undefined ? {} : { version });
    await assert.rejects(readAll(store.get('a', pin(a?.version))), { kind: 'notFound', message: /"a" in "s3:/ });
    await assert.rejects(readAll(store.get('b', pin(b?.version))), { kind: 'integrity', message: /"b" in "s3:/ });
  });

  it("works although this machine's clock is an hour late", async () => {
    await using store = await openTestStore();
    mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 });
    try {
      await store.put('a', streamOf('x'));
      assert.equal((await readAll(store.get('a'))).toString(), 'x');
    } finally {
      mock.timers.reset();
    }
  });
});
