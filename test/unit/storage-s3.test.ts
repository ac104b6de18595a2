import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { S3Settings, StoreTimings } from '../../src/storage/store-settings.ts';
import { CannedHttp, type CannedAnswer, type SeenRequest } from '../support/canned-http.ts';
import { listAll, readAll } from '../support/test-bytes.ts';

const impatient: StoreTimings = {
  connectTimeoutMs: 1_000,
  idleTimeoutMs: 1_000,
  retry: { attempts: 2, firstDelayMs: 1, maxDelayMs: 1 },
  patientRetry: { attempts: 3, firstDelayMs: 1, maxDelayMs: 1 },
};

const folder = await mkdtemp(join(tmpdir(), 's3-settings-'));
const environment = { ...process.env };

before(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
  process.env['AWS_CONFIG_FILE'] = join(folder, 'config');
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = join(folder, 'credentials');
  process.env['AWS_ACCESS_KEY_ID'] = 'key-id';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'secret-key';
});
after(async () => {
  process.env = environment;
  await rm(folder, { recursive: true });
});

function errorBody(code: string, message = ''): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
}

async function withAnswers(
  answer: (request: SeenRequest) => CannedAnswer,
  use: (server: CannedHttp, open: (settings?: S3Settings) => ReturnType<typeof openStore>) => Promise<void>,
): Promise<void> {
  await using server = await CannedHttp.start(answer);
  const open = async (settings: S3Settings = {}) =>
    await openStore(
      's3://my.bucket/pre fix',
      { s3: { endpoint: server.endpoint, ...settings } },
      { timings: impatient },
    );
  await use(server, open);
}

describe('errors of S3 servers', () => {
  interface Case {
    readonly answer: CannedAnswer;
    readonly kind: string;
    readonly message: RegExp;
    readonly hint?: RegExp;
    readonly calls?: number;
  }
  const cases: Readonly<Record<string, Case>> = {
    AccessDenied: {
      answer: { status: 403, body: errorBody('AccessDenied', 'Access Denied') },
      kind: 'access',
      message: /permission denied/,
      hint: /Allow|allow/,
    },
    'a 403 without a body': { answer: { status: 403 }, kind: 'access', message: /permission denied/ },
    ExpiredToken: {
      answer: { status: 400, body: errorBody('ExpiredToken', 'The provided token has expired.') },
      kind: 'access',
      message: /expired/,
      hint: /new credentials/,
    },
    NoSuchBucket: {
      answer: { status: 404, body: errorBody('NoSuchBucket') },
      kind: 'notFound',
      message: /the bucket does not exist/,
    },
    NoSuchKey: { answer: { status: 404, body: errorBody('NoSuchKey') }, kind: 'notFound', message: /no such object/ },
    RequestTimeTooSkewed: {
      answer: { status: 403, body: errorBody('RequestTimeTooSkewed') },
      kind: 'storage',
      message: /clock/,
      hint: /NTP/,
    },
    PermanentRedirect: {
      answer: { status: 301, headers: { 'x-amz-bucket-region': 'eu-west-9' }, body: errorBody('PermanentRedirect') },
      kind: 'config',
      message: /another region/,
      hint: /"eu-west-9"/,
    },
    AuthorizationHeaderMalformed: {
      answer: { status: 400, body: errorBody('AuthorizationHeaderMalformed', "the region 'us-east-1' is wrong") },
      kind: 'config',
      message: /another region/,
      hint: /AWS_REGION/,
    },
    'SlowDown, again and again': {
      answer: { status: 503, body: errorBody('SlowDown') },
      kind: 'storage',
      message: /overloaded/,
      calls: 3,
    },
    'an internal error without a message': {
      answer: { status: 500, body: errorBody('InternalError') },
      kind: 'storage',
      message: /InternalError, HTTP 500/,
      calls: 3,
    },
    'a full store': { answer: { status: 403, body: errorBody('QuotaExceeded') }, kind: 'storage', message: /full/ },
    'a server that lacks a feature': {
      answer: { status: 501, body: errorBody('NotImplemented') },
      kind: 'storage',
      message: /does not support/,
      hint: /when-required/,
    },
    'an error that nobody knows': {
      answer: { status: 418, body: errorBody('constructor', 'I am a teapot') },
      kind: 'storage',
      message: /I am a teapot \(constructor, HTTP 418\)/,
    },
  };
  for (const [name, { answer, kind, message, hint = /^|\.$/, calls = 1 }] of Object.entries(cases)) {
    it(`says ${kind} for ${name}`, async () => {
      await withAnswers(
        () => answer,
        async (server, open) => {
          await using store = await open();
          await assert.rejects(readAll(store.get('a/b')), (error: Error & { kind?: string; hint?: string }) => {
            assert.equal(error.kind, kind);
            assert.match(error.message, message);
            assert.match(error.message, /^cannot read "a\/b" in "s3:\/\/my\.bucket\/pre fix": /);
            assert.match(error.hint ?? '', hint);
            return true;
          });
          assert.equal(server.requests.length, calls);
        },
      );
    });
  }

  it('says access when there are no credentials', async () => {
    delete process.env['AWS_ACCESS_KEY_ID'];
    try {
      await withAnswers(
        () => ({ status: 200 }),
        async (server, open) => {
          await using store = await open();
          await assert.rejects(store.head('a'), { kind: 'access', message: /no credentials/, hint: /AWS_PROFILE/ });
          assert.equal(server.requests.length, 0);
        },
      );
    } finally {
      process.env['AWS_ACCESS_KEY_ID'] = 'key-id';
    }
  });

  it('says access, not "not there", when looking at an object is denied', async () => {
    await withAnswers(
      () => ({ status: 403 }),
      async (_server, open) => {
        await using store = await open();
        await assert.rejects(store.head('a'), { kind: 'access' });
      },
    );
  });

  it('stores with credentials that may only write', async () => {
    await withAnswers(
      ({ method }) => (method === 'PUT' ? { status: 200, headers: { etag: '"tag"' } } : { status: 403 }),
      async (_server, open) => {
        await using store = await open();
        const put = await store.put('m', streamOf('manifest'), { createOnly: true });
        assert.equal(put.version, '"tag"');
        assert.equal(put.sizeBytes, 8);
      },
    );
  });

  it('does not believe a server that keeps less than it was sent', async () => {
    let putId = '';
    await withAnswers(
      ({ method, headers }) => {
        if (method !== 'PUT')
          return { status: 200, headers: { 'content-length': '7', 'x-amz-meta-librelog-put-id': putId } };
        putId = String(headers['x-amz-meta-librelog-put-id']);
        return { status: 200 };
      },
      async (_server, open) => {
        await using store = await open();
        await assert.rejects(store.put('m', streamOf('manifest')), { kind: 'integrity', message: /7 of 8 bytes/ });
      },
    );
  });

  it('names the object that could not be deleted among several', async () => {
    const body = `<DeleteResult><Error><Key>pre fix/b</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>`;
    await withAnswers(
      () => ({ status: 200, body }),
      async (_server, open) => {
        await using store = await open();
        await assert.rejects(store.delete(['a', 'b']), { message: /cannot delete "b" in/ });
      },
    );
  });
});

describe('requests to S3 servers', () => {
  const listing = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';
  const answer = ({ method }: SeenRequest): CannedAnswer =>
    method === 'HEAD' ? { status: 404 } : { status: 200, body: method === 'PUT' ? '' : listing };

  it('uses the path style with a custom endpoint, also for buckets with dots, and us-east-1', async () => {
    await withAnswers(answer, async (server, open) => {
      await using store = await open();
      await listAll(store.list('a b/'));
      const { path, headers } = server.requests[0] ?? assert.fail('no request');
      assert.match(path, /^\/my\.bucket(\/\?|\?)/);
      assert.match(path, /prefix=pre%20fix%2Fa%20b%2F/);
      assert.match(headers.authorization ?? '', /\/us-east-1\/s3\//);
    });
  });

  it('takes the region from the option before AWS_REGION', async () => {
    process.env['AWS_REGION'] = 'eu-central-1';
    try {
      await withAnswers(answer, async (server, open) => {
        for (const [settings, region] of [
          [{}, 'eu-central-1'],
          [{ region: 'sa-east-1' }, 'sa-east-1'],
        ] as const) {
          await using store = await open(settings);
          await listAll(store.list(''));
          assert.match(server.requests.at(-1)?.headers.authorization ?? '', new RegExp(`/${region}/s3/`));
        }
      });
    } finally {
      delete process.env['AWS_REGION'];
    }
  });

  it('takes the endpoint from the variables of the AWS tools', async () => {
    await withAnswers(answer, async (server) => {
      const env = { AWS_ENDPOINT_URL_S3: server.endpoint };
      await using store = await openStore('s3://bucket', {}, { env, timings: impatient });
      await listAll(store.list(''));
      assert.match(server.requests[0]?.path ?? '', /^\/bucket/);
    });
  });

  it('needs a region without an endpoint', async () => {
    await assert.rejects(openStore('s3://bucket', {}), { kind: 'config', message: /region/, hint: /AWS_REGION/ });
  });

  for (const checksumMode of ['auto', 'when-required'] as const) {
    it(`sends bodies whole, with a length and without a trailer (${checksumMode})`, async () => {
      await withAnswers(answer, async (server, open) => {
        await using store = await open({ checksumMode });
        await assert.rejects(store.put('a', streamOf('body')), { kind: 'storage' });
        const { headers, body } = server.requests.find(({ method }) => method === 'PUT') ?? assert.fail('no put');
        assert.equal(body.toString(), 'body');
        assert.equal(headers['content-length'], '4');
        for (const name of ['transfer-encoding', 'content-encoding', 'expect', 'x-amz-trailer']) {
          assert.equal(headers[name], undefined);
        }
        assert.equal('x-amz-checksum-crc32' in headers, checksumMode === 'auto');
      });
    });

    it(`sends Content-MD5 when it deletes several objects (${checksumMode})`, async () => {
      await withAnswers(
        () => ({ status: 200, body: '<DeleteResult/>' }),
        async (server, open) => {
          await using store = await open({ checksumMode });
          await store.delete(['a', 'b']);
          const { headers, body } = server.requests[0] ?? assert.fail('no request');
          assert.equal(headers['content-md5'], createHash('md5').update(body).digest('base64'));
          assert.equal('x-amz-checksum-crc32' in headers, checksumMode === 'auto');
        },
      );
    });
  }

  it('deletes thousands of objects a thousand at a time', async () => {
    await withAnswers(
      () => ({ status: 200, body: '<DeleteResult/>' }),
      async (server, open) => {
        await using store = await open();
        await store.delete(Array.from({ length: 2_500 }, (_, index) => `key-${index}`));
        const counts = server.requests.map(({ body }) => body.toString().split('<Object>').length - 1);
        assert.deepEqual(counts, [1_000, 1_000, 500]);
      },
    );
  });

  it('lists page by page, and leaves out the folder markers of consoles', async () => {
    const page = (keys: readonly string[], next: string): string => {
      const contents = keys.map((key) => `<Contents><Key>pre fix/${key}</Key><Size>1</Size></Contents>`).join('');
      const more =
        next === ''
          ? 'false'
          : `true</IsTruncated><NextContinuationToken>${next}</NextContinuationToken><IsTruncated>true`;
      return `<ListBucketResult><IsTruncated>${more}</IsTruncated>${contents}</ListBucketResult>`;
    };
    await withAnswers(
      ({ path }) => ({
        status: 200,
        body: path.includes('continuation-token=two') ? page(['c'], '') : page(['', 'a', 'folder/', 'b'], 'two'),
      }),
      async (_server, open) => {
        await using store = await open();
        assert.deepEqual(
          (await listAll(store.list(''))).map(({ key }) => key),
          ['a', 'b', 'c'],
        );
      },
    );
  });
});

describe('settings of S3 stores', () => {
  const wrong: Readonly<Record<string, { settings: S3Settings; message: RegExp }>> = {
    'an endpoint without a scheme': { settings: { endpoint: 'minio.example:9000' }, message: /endpoint/ },
    'an endpoint with credentials': {
      settings: { endpoint: 'https://key:topsecret@minio.example' },
      message: /endpoint/,
    },
    'a certificate file that is not there': { settings: { caFile: join(folder, 'none.pem') }, message: /no such file/ },
    'a certificate file without a certificate': {
      settings: { caFile: join(folder, 'empty.pem') },
      message: /no certificate/,
    },
  };
  for (const [what, { settings, message }] of Object.entries(wrong)) {
    it(`refuses ${what}`, async () => {
      await writeFile(join(folder, 'empty.pem'), 'nothing');
      await assert.rejects(
        openStore('s3://bucket', { s3: { region: 'x', ...settings } }),
        (error: Error & { kind?: string }) => {
          assert.equal(error.kind, 'config');
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /topsecret/);
          return true;
        },
      );
    });
  }

  it('refuses too little memory', async () => {
    const settings = { s3: { region: 'x' }, uploadMemoryBytes: 1024 };
    await assert.rejects(openStore('s3://bucket', settings), { kind: 'config', message: /memory/ });
  });
});
