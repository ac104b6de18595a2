import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { CannedAnswer, SeenRequest } from '../support/canned-http.ts';
import { ownAwsEnvironment, withAnswers } from '../support/canned-s3.ts';
import { GcsDouble } from '../support/gcs-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { readAll } from '../support/test-bytes.ts';

const { createHash } = crypto;

/** As OpenSSL answers in FIPS mode. */
function withoutMd5(algorithm: string, options?: crypto.HashOptions): crypto.Hash {
  if (algorithm !== 'md5') return createHash(algorithm, options);
  throw Object.assign(new Error('digital envelope routines::unsupported'), { code: 'ERR_OSSL_EVP_UNSUPPORTED' });
}

function setCreateHash(replacement: typeof createHash): void {
  crypto.createHash = replacement;
  syncBuiltinESMExports();
}

const aws = await ownAwsEnvironment();
const google = await ownGoogleEnvironment();
after(async () => {
  await google[Symbol.asyncDispose]();
  await aws[Symbol.asyncDispose]();
});

const refused = { kind: 'config', message: /^this machine refuses MD5 \(FIPS mode\)/, hint: /docs\/stores\.md/ };

describe('a machine that refuses MD5', () => {
  before(() => setCreateHash(withoutMd5));
  after(() => setCreateHash(createHash));

  const answer = ({ method }: SeenRequest): CannedAnswer =>
    method === 'POST' ? { status: 200, body: '<DeleteResult/>' } : { status: 200, headers: { etag: '"x"' } };

  it('deletes in S3 with the newer checksum alone', async () => {
    await withAnswers(answer, async (open, { requests }) => {
      await using store = await open();
      await store.delete(['a', 'b']);
      const { headers } = requests.find(({ method }) => method === 'POST') ?? assert.fail('no request');
      assert.equal(headers['content-md5'], undefined);
      assert.match(String(headers['x-amz-checksum-crc32']), /^[A-Za-z0-9+/]{6}==$/);
    });
  });

  it('is refused checksums of before 2025, and keys of customers, in S3', async () => {
    await withAnswers(answer, async (open) => {
      await using store = await open({ checksumMode: 'when-required' });
      await assert.rejects(store.put('a', streamOf('x')), refused);
      const key = new Secret(Buffer.alloc(32));
      await assert.rejects(open({ encryption: { method: 'sse-c', key } }), refused);
    });
  });

  it('reads from Google Cloud Storage, and cannot write to it', async () => {
    await using double = await GcsDouble.start('bucket');
    await using store = await openStore('gs://bucket', { gcs: { endpoint: double.endpoint } });
    setCreateHash(createHash);
    await store.put('a', streamOf('x'));
    setCreateHash(withoutMd5);
    assert.equal((await readAll(store.get('a'))).toString(), 'x');
    await assert.rejects(store.put('b', streamOf('x')), refused);
    assert.equal(await store.head('b'), null);
  });
});
