import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreSettings } from '../../src/storage/store-settings.ts';
import { CannedHttp, type CannedAnswer } from '../support/canned-http.ts';
import { errorBody, impatient, ownAwsEnvironment } from '../support/canned-s3.ts';

const environment = await ownAwsEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

interface Kept {
  /** What the server says when it is asked to look at the object: each time, the last one from then on. */
  readonly heads: readonly (Record<string, string> | 403)[];
  /** What it answers when it is asked for the tags; it does not know the request by default. */
  readonly tags?: CannedAnswer;
}

/** Puts `key` on a server with versions, and gives the requests after the upload: `HEAD`, `GET tagging`, `DELETE`, … */
async function put(key: string, settings: StoreSettings, { heads, tags }: Kept): Promise<readonly string[]> {
  const requests: string[] = [];
  let looks = 0;
  await using server = await CannedHttp.start(({ method, path }): CannedAnswer => {
    const isTagging = /[?&]tagging/.test(path);
    requests.push(isTagging ? `${method} tagging` : method);
    if (method === 'GET') return tags ?? { status: 501, body: errorBody('NotImplemented') };
    if (method !== 'HEAD') return { status: 200, headers: { etag: '"e"', 'x-amz-version-id': 'v1' } };
    const head = heads[Math.min(looks++, heads.length - 1)];
    return head === 403 ? { status: 403 } : { status: 200, headers: { 'content-length': '1', ...head } };
  });
  const s3 = { endpoint: server.endpoint, region: 'us-east-1', ...settings.s3 };
  await using store = await openStore('s3://bucket/p', { ...settings, s3 }, { timings: impatient });
  await store.put(key, streamOf('x')).catch((error: unknown) => {
    throw Object.assign(error as Error, { requests: requests.slice(1) });
  });
  return requests.slice(1);
}

const inClass = (name: string): Record<string, string> => ({ 'x-amz-storage-class': name });

describe('the storage class of an object in S3', () => {
  const applied: readonly (readonly [asked: string, head: Record<string, string> | 403])[] = [
    ['GLACIER_IR', inClass('GLACIER_IR')],
    ['STANDARD', inClass('STANDARD')],
    // Servers do not name the standard class.
    ['STANDARD', {}],
    // Credentials that may only write are not told.
    ['GLACIER_IR', 403],
  ];
  for (const [asked, head] of applied) {
    it(`may be ${JSON.stringify(head)} where ${asked} was asked for`, async () => {
      await put('a', { s3: { storageClass: asked } }, { heads: [head] });
    });
  }

  for (const [asked, head, used] of [
    ['GLACIER_IR', {}, 'STANDARD'],
    ['GLACIER_IR', inClass('STANDARD_IA'), 'STANDARD_IA'],
    ['STANDARD', inClass('REDUCED_REDUNDANCY'), 'REDUCED_REDUNDANCY'],
  ] as const) {
    it(`is not ${used} where ${asked} was asked for: the object is removed`, async () => {
      await assert.rejects(put('a', { s3: { storageClass: asked } }, { heads: [head] }), {
        kind: 'policy',
        message: new RegExp(`asked for the storage class ${asked}, but used ${used}$`),
        requests: ['HEAD', 'DELETE'],
      });
    });
  }

  it('is not asked for manifests, hence may be any', async () => {
    await put('a/manifest.json', { s3: { storageClass: 'GLACIER_IR' } }, { heads: [{}] });
  });
});

describe('the tags of an object in S3', () => {
  const settings = { tags: { a: 'b', c: '' } };
  const tagCount = (count: number): Record<string, string> => ({ 'x-amz-tagging-count': String(count) });
  const tagSet = (xml: string): CannedAnswer => ({
    status: 200,
    body: `<Tagging><TagSet>${xml}</TagSet></Tagging>`,
  });
  const both = '<Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key><Value/></Tag>';
  const missing = {
    kind: 'policy',
    message: /asked for 2 tags, but has 0 of them$/,
    requests: ['HEAD', 'PUT tagging', 'HEAD', 'DELETE'],
  };

  it('are believed when the server counts them', async () => {
    assert.deepEqual(await put('a', settings, { heads: [tagCount(2)] }), ['HEAD']);
  });

  it('are set again where the upload lost them', async () => {
    const requests = await put('a', settings, { heads: [tagCount(0), tagCount(2)] });
    assert.deepEqual(requests, ['HEAD', 'PUT tagging', 'HEAD']);
  });

  it('are missed for good where the server keeps none: the object is removed', async () => {
    await assert.rejects(put('a', settings, { heads: [tagCount(0)] }), missing);
  });

  it('are asked for where the server does not count them', async () => {
    assert.deepEqual(await put('a', settings, { heads: [{}], tags: tagSet(both) }), ['HEAD', 'GET tagging']);
    await assert.rejects(put('a', settings, { heads: [{}], tags: tagSet('') }), {
      ...missing,
      requests: ['HEAD', 'GET tagging', 'PUT tagging', 'HEAD', 'GET tagging', 'DELETE'],
    });
  });

  for (const [what, tags] of Object.entries({
    'the credentials may not say': { status: 403, body: errorBody('AccessDenied') },
    'the server cannot say': { status: 501, body: errorBody('NotImplemented') },
    'the server does not understand': { status: 400, body: errorBody('InvalidRequest') },
    'the answer names no set': { status: 200, body: '<Tagging/>' },
  })) {
    it(`are taken on trust where ${what}`, async () => {
      assert.deepEqual(await put('a', settings, { heads: [{}], tags }), ['HEAD', 'GET tagging']);
    });
  }

  it('are not asked for with credentials that may only write, nor where there are none', async () => {
    assert.deepEqual(await put('a', settings, { heads: [403] }), ['HEAD']);
    assert.deepEqual(await put('a', {}, { heads: [{}] }), ['HEAD']);
  });
});
