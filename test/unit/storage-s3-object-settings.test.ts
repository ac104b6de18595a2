import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import { streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { partLimits } from '../../src/storage/s3-object-input.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreSettings } from '../../src/storage/store-settings.ts';
import { CannedHttp, type CannedAnswer, type SeenRequest } from '../support/canned-http.ts';
import { errorBody, impatient, ownAwsEnvironment } from '../support/canned-s3.ts';
import { inReusedChunks, randomLookingBytes } from '../support/test-bytes.ts';

const environment = await ownAwsEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

type Special = (request: SeenRequest) => CannedAnswer | undefined;

/** A server that takes every upload, says of an object what the requests that began it said, and `special` otherwise. */
async function withServer(
  special: Special,
  settings: StoreSettings,
  use: (store: Awaited<ReturnType<typeof openStore>>, requests: readonly SeenRequest[]) => Promise<void>,
): Promise<void> {
  let begun: SeenRequest | undefined;
  let sizeBytes = 0;
  await using server = await CannedHttp.start((request) => {
    const { method, path, headers, body } = request;
    if ((method === 'PUT' && !path.includes('partNumber')) || path.includes('uploads')) {
      begun = request;
      sizeBytes = 0;
    }
    if (method === 'PUT') sizeBytes += body.byteLength;
    const answer = special(request);
    if (answer !== undefined) return answer;
    if (path.includes('?uploads')) {
      const type = headers['x-amz-checksum-type'];
      const said = type === undefined ? {} : { 'x-amz-checksum-type': String(type) };
      return { status: 200, headers: said, body: '<R><UploadId>id</UploadId></R>' };
    }
    if (method === 'POST') return { status: 200, body: '<R><ETag>"e"</ETag></R>' };
    if (method === 'HEAD') return { status: 200, headers: { ...repeated(begun), 'content-length': String(sizeBytes) } };
    return { status: 200, headers: { etag: '"e"', 'x-amz-version-id': 'v1' } };
  });
  const s3 = { endpoint: server.endpoint, region: 'us-east-1', ...settings.s3 };
  await using store = await openStore('s3://bucket/p', { ...settings, s3 }, { timings: impatient });
  await use(store, server.requests);
}

function repeated(begun: SeenRequest | undefined): Record<string, string> {
  const names = Object.keys(begun?.headers ?? {}).filter((name) =>
    /^x-amz-(meta|server|object-lock|storage-class)/.test(name),
  );
  return Object.fromEntries(names.map((name) => [name, String(begun?.headers[name])]));
}

const nothing: Special = () => undefined;
const large = randomLookingBytes(9 * 1024 * 1024);
const sentLarge = (): AsyncIterable<Uint8Array> => inReusedChunks(large, [1024 * 1024]);

function find(requests: readonly SeenRequest[], method: string, path: RegExp): SeenRequest {
  return requests.find((request) => request.method === method && path.test(request.path)) ?? assert.fail('no request');
}

function base64Crc(bytes: Uint8Array): string {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(crc32(bytes));
  return buffer.toString('base64');
}

describe('settings of objects in S3', () => {
  it('go with the request that begins the object, whole or in parts', async () => {
    const settings: StoreSettings = {
      s3: {
        storageClass: 'STANDARD_IA',
        encryption: { method: 'sse-kms', keyId: 'k', context: { a: 'b' }, bucketKey: true },
      },
      lock: { retention: { mode: 'compliance', durationMs: 60_000 }, legalHold: true },
      tags: { 'data class': 'a+b', tool: 'x' },
    };
    await withServer(nothing, settings, async (store, requests) => {
      await store.put('small', streamOf('x'));
      await store.put('large', sentLarge());
      for (const { headers } of [find(requests, 'PUT', /small/), find(requests, 'POST', /large\?uploads/)]) {
        assert.equal(headers['x-amz-storage-class'], 'STANDARD_IA');
        assert.equal(headers['x-amz-tagging'], 'data%20class=a%2Bb&tool=x');
        assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms');
        assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'k');
        assert.equal(headers['x-amz-server-side-encryption-bucket-key-enabled'], 'true');
        assert.equal(
          Buffer.from(String(headers['x-amz-server-side-encryption-context']), 'base64').toString(),
          '{"a":"b"}',
        );
        assert.equal(headers['x-amz-object-lock-mode'], 'COMPLIANCE');
        assert.equal(headers['x-amz-object-lock-legal-hold'], 'ON');
        assert.ok(Date.parse(String(headers['x-amz-object-lock-retain-until-date'])) > Date.now() + 50_000);
      }
    });
  });

  it('keep manifests in the default class', async () => {
    await withServer(nothing, { s3: { storageClass: 'GLACIER' } }, async (store, requests) => {
      await store.put('a/manifest.json', streamOf('{}'));
      await store.put('a/manifest.2.json', streamOf('{}'));
      await store.put('a/manifest.json.zst', streamOf('{}'));
      assert.equal(find(requests, 'PUT', /manifest\.json\?/).headers['x-amz-storage-class'], undefined);
      assert.equal(find(requests, 'PUT', /manifest\.2\.json\?/).headers['x-amz-storage-class'], undefined);
      assert.equal(find(requests, 'PUT', /zst/).headers['x-amz-storage-class'], 'GLACIER');
    });
  });

  it("send the customer's key with every request that touches bytes", async () => {
    const s3 = { encryption: { method: 'sse-c', key: new Secret(Buffer.alloc(32, 1)) } } as const;
    const digest = createHash('md5').update(Buffer.alloc(32, 1)).digest('base64');
    await withServer(nothing, { s3 }, async (store, requests) => {
      assert.deepEqual((await store.put('a', sentLarge())).serverEncryption, { method: 'sse-c', keyDigest: digest });
      assert.equal(requests.filter(({ path }) => path.includes('partNumber')).length, 2);
      for (const { headers } of requests) {
        assert.equal(headers['x-amz-server-side-encryption-customer-algorithm'], 'AES256');
        assert.equal(headers['x-amz-server-side-encryption-customer-key-md5'], digest);
      }
    });
  });

  for (const tags of [{ '': 'x' }, { 'a\nb': 'x' }, { a: '"' }, { ['x'.repeat(129)]: 'x' }, { a: 'x'.repeat(257) }]) {
    it(`refuse the tags ${JSON.stringify(tags).slice(0, 30)}`, async () => {
      await assert.rejects(openStore('s3://bucket', { s3: { region: 'x' }, tags }), { kind: 'config', message: /tag/ });
    });
  }

  it('allow fewer parts, for servers that take no more', () => {
    assert.equal(partLimits({}).maxParts, 10_000);
    assert.equal(partLimits({ maxParts: 1_000 }).maxParts, 1_000);
  });

  it('refuse eleven tags, and numbers of parts that S3 does not have', async () => {
    const tags = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`t${index}`, '']));
    await assert.rejects(openStore('s3://bucket', { s3: { region: 'x' }, tags }), {
      kind: 'config',
      message: /11 tags/,
    });
    for (const maxParts of [0, 99, 10_001, 1_000.5]) {
      const opening = openStore('s3://bucket', { s3: { region: 'x', maxParts } });
      await assert.rejects(opening, { kind: 'config', message: /parts/ });
    }
  });
});

describe('checksums that S3 is sent', () => {
  const firstPart = large.subarray(0, 8 * 1024 * 1024);

  it('are CRC32 of every part and of the whole object', async () => {
    await withServer(nothing, {}, async (store, requests) => {
      await store.put('a', sentLarge());
      assert.equal(find(requests, 'PUT', /partNumber=1/).headers['x-amz-checksum-crc32'], base64Crc(firstPart));
      assert.equal(find(requests, 'POST', /uploads/).headers['x-amz-checksum-algorithm'], 'CRC32');
      const { headers } = find(requests, 'POST', /uploadId/);
      assert.equal(headers['x-amz-checksum-crc32'], base64Crc(large));
      assert.equal(headers['x-amz-checksum-type'], 'FULL_OBJECT');
      assert.equal(headers['x-amz-mp-object-size'], String(large.byteLength));
    });
  });

  it('leave out the whole object where the server refuses it', async () => {
    const refusing: Special = ({ headers }) =>
      headers['x-amz-checksum-type'] === undefined ? undefined : { status: 501, body: errorBody('NotImplemented') };
    await withServer(refusing, {}, async (store, requests) => {
      await store.put('a', sentLarge());
      assert.equal(find(requests, 'PUT', /partNumber=1/).headers['x-amz-checksum-crc32'], base64Crc(firstPart));
      assert.equal(find(requests, 'POST', /uploadId/).headers['x-amz-checksum-crc32'], undefined);
    });
  });

  it('are Content-MD5 where only that is known', async () => {
    const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('base64');
    await withServer(nothing, { s3: { checksumMode: 'when-required' } }, async (store, requests) => {
      await store.put('large', sentLarge());
      await store.put('small', streamOf('x'));
      assert.equal(find(requests, 'PUT', /partNumber=1/).headers['content-md5'], md5(firstPart));
      assert.equal(find(requests, 'PUT', /small/).headers['content-md5'], md5(Buffer.from('x')));
      for (const { headers } of requests) {
        assert.deepEqual(
          Object.keys(headers).filter((name) => name.includes('checksum')),
          [],
        );
      }
    });
  });
});

describe('an S3 server that does not do what it is asked', () => {
  const forgetful: Special = ({ method }) =>
    method === 'PUT' ? { status: 200, headers: { etag: '"e"', 'x-amz-version-id': 'v1' } } : undefined;
  /** Keeps it under another KMS key than the one it was asked for. */
  const lying: Special = (request) => {
    if (request.method !== 'HEAD') return forgetful(request);
    const said = {
      'content-length': '1',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'other',
    };
    return { status: 200, headers: said };
  };
  const denying = (action: RegExp): Special => {
    return (request) => (action.test(`${request.method} ${request.path}`) ? { status: 403 } : forgetful(request));
  };

  it('has the very version of the object removed', async () => {
    await withServer(lying, { s3: { encryption: { method: 'sse-kms', keyId: 'mine' } } }, async (store, requests) => {
      await assert.rejects(store.put('a', streamOf('x')), {
        kind: 'policy',
        message: /asked for sse-kms with key "mine", but used sse-kms with key "other"$/,
      });
      assert.match(find(requests, 'DELETE', /./).path, /\/p\/a\?.*versionId=v1/);
    });
  });

  it('has an object removed that it keeps without the bucket key, or under another context', async () => {
    const context = (said: object) => ({
      'x-amz-server-side-encryption-context': Buffer.from(JSON.stringify(said)).toString('base64'),
    });
    const wrong: readonly (readonly [Record<string, string>, RegExp])[] = [
      [context({ a: 'b' }), /asked for a bucket key, but does not say that it uses one$/],
      [
        { 'x-amz-server-side-encryption-bucket-key-enabled': 'false', ...context({ a: 'b' }) },
        /asked for a bucket key/,
      ],
      [
        { 'x-amz-server-side-encryption-bucket-key-enabled': 'true', ...context({ a: 'c' }) },
        /names another encryption context$/,
      ],
    ];
    const settings = { s3: { encryption: { method: 'sse-kms', context: { a: 'b' }, bucketKey: true } } } as const;
    for (const [said, message] of wrong) {
      const headers = { 'x-amz-version-id': 'v1', 'x-amz-server-side-encryption': 'aws:kms', ...said };
      const special: Special = ({ method, path }) => {
        if (method === 'HEAD') return { status: 403 };
        if (path.includes('?uploads')) return { status: 200, headers, body: '<R><UploadId>id</UploadId></R>' };
        if (method === 'POST') {
          return { status: 200, headers: { 'x-amz-version-id': 'v1' }, body: '<R><ETag>"e"</ETag></R>' };
        }
        return method === 'PUT' ? { status: 200, headers: { etag: '"e"', ...headers } } : undefined;
      };
      await withServer(special, settings, async (store, requests) => {
        for (const body of [streamOf('x'), sentLarge()]) {
          await assert.rejects(store.put('a', body), { kind: 'policy', message });
        }
        const deleted = requests.filter(({ method, path }) => method === 'DELETE' && path.includes('versionId=v1'));
        assert.equal(deleted.length, 2);
      });
    }
  });

  it('is believed when it says what it was asked for, whole or in parts', async () => {
    const encryption = { method: 'sse-kms', keyId: 'k', context: { a: 'b' }, bucketKey: true } as const;
    await withServer(nothing, { s3: { encryption } }, async (store) => {
      for (const body of [streamOf('x'), sentLarge()]) {
        const { serverEncryption } = await store.put('a', body);
        assert.deepEqual(serverEncryption, { method: 'sse-kms', keyId: 'k', bucketKey: true });
      }
    });
  });

  it('is told of when the object cannot be removed', async () => {
    const special: Special = (request) => (request.method === 'DELETE' ? { status: 403 } : lying(request));
    await withServer(special, { s3: { encryption: { method: 'sse-kms', keyId: 'mine' } } }, async (store, requests) => {
      await assert.rejects(store.put('a', streamOf('x')), {
        kind: 'policy',
        message: /key "other"; and cannot remove "a" in "s3:.* again: permission denied$/,
      });
      const deletes = requests
        .filter(({ method }) => method === 'DELETE')
        .map(({ path }) => path.includes('versionId'));
      assert.deepEqual(deletes, [true, false], 'the version, then a marker before it');
    });
  });

  it('is believed by its answer to put where the credentials may not look', async () => {
    const applied = { etag: '"e"', 'x-amz-server-side-encryption': 'AES256' };
    const hiding = (headers: Record<string, string>): Special => {
      return ({ method }) => (method === 'PUT' ? { status: 200, headers } : { status: 403 });
    };
    const settings = { s3: { encryption: { method: 'sse-s3' } }, requireEncryption: true } as const;
    await withServer(hiding(applied), settings, async (store) => {
      assert.deepEqual((await store.put('a', streamOf('x'))).serverEncryption, { method: 'sse-s3' });
    });
    await withServer(hiding({ etag: '"e"' }), settings, async (store, requests) => {
      await assert.rejects(store.put('a', streamOf('x')), {
        kind: 'policy',
        message: /does not say that it encrypts the object; and it stays there unless another has replaced it$/,
      });
      assert.equal(requests.filter(({ method }) => method === 'DELETE').length, 0);
    });
  });

  it('decides by the stored object whether it encrypts when it may not be asked before', async () => {
    const special = denying(/^GET \/bucket\/?\?encryption/);
    await withServer(special, { requireEncryption: true }, async (store, requests) => {
      await assert.rejects(store.put('a', streamOf('x')), { kind: 'policy', message: /encryption is required/ });
      assert.equal(requests.filter(({ method }) => method === 'DELETE').length, 1);
    });
  });

  it('is asked to lock what it did not lock, and believed only when it says so', async () => {
    const special: Special = ({ method }) =>
      method === 'HEAD' ? { status: 200, headers: { 'content-length': '1', 'x-amz-version-id': 'v1' } } : undefined;
    const lock = { retention: { mode: 'governance', durationMs: 60_000 }, legalHold: true } as const;
    await withServer(special, { lock }, async (store, requests) => {
      await assert.rejects(store.put('a', streamOf('x')), {
        kind: 'policy',
        message: /asked to lock it \(governance\)/,
      });
      for (const path of [/p\/a\?.*retention.*versionId=v1/, /p\/a\?.*legal-hold.*versionId=v1/]) {
        const { headers, body } = find(requests, 'PUT', path);
        assert.equal(headers['content-md5'], createHash('md5').update(body).digest('base64'));
      }
      assert.match(find(requests, 'DELETE', /./).path, /versionId=v1/);
    });
  });
});
