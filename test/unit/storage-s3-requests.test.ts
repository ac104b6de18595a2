import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { createS3Client } from '../../src/storage/s3-client.ts';
import type { S3Settings } from '../../src/storage/store-settings.ts';
import type { CannedAnswer, SeenRequest } from '../support/canned-http.ts';
import { impatient, ownAwsEnvironment, withAnswers } from '../support/canned-s3.ts';
import { listAll } from '../support/test-bytes.ts';

const environment = await ownAwsEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

describe('requests to S3 servers', () => {
  const listing = '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>';
  const answer = ({ method }: SeenRequest): CannedAnswer => {
    if (method === 'HEAD') return { status: 200, headers: { 'content-length': '4' } };
    return { status: 200, body: method === 'PUT' ? '' : listing };
  };

  it('uses the path style with a custom endpoint, also for buckets with dots, and us-east-1', async () => {
    await withAnswers(answer, async (open, server) => {
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
      await withAnswers(answer, async (open, server) => {
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
    await withAnswers(answer, async (_open, server) => {
      const env = { AWS_ENDPOINT_URL_S3: server.endpoint };
      await using store = await openStore('s3://bucket', {}, { env, timings: impatient });
      await listAll(store.list(''));
      assert.match(server.requests[0]?.path ?? '', /^\/bucket/);
    });
  });

  it('goes through the proxy that the environment names, and past it to the servers that need none', async () => {
    await withAnswers(answer, async (_open, proxy) => {
      for (const [NO_PROXY, isProxied] of [
        ['elsewhere.example', true],
        ['s3.example', false],
      ] as const) {
        const env = { HTTP_PROXY: proxy.endpoint, NO_PROXY };
        const settings = { s3: { endpoint: 'http://s3.example:1' } };
        await using store = await openStore('s3://bucket', settings, { env, timings: impatient });
        const listing = listAll(store.list(''));
        if (isProxied) await listing;
        else await assert.rejects(listing, { kind: 'storage', message: /cannot reach the server/ });
      }
      assert.equal(proxy.requests.length, 1);
      assert.match(proxy.requests[0]?.path ?? '', /^http:\/\/s3\.example:1\/bucket/);
    });
  });

  for (const address of [
    'user:topsecret@proxy.example:3128',
    'socks5://topsecret@proxy.example',
    'http://topsecret:x',
  ]) {
    it(`refuses ${address.replace('topsecret', '…')} as a proxy, without repeating it`, async () => {
      const env = { HTTPS_PROXY: address };
      await assert.rejects(openStore('s3://bucket', { s3: { region: 'x' } }, { env }), (error: Error) => {
        assert.match(error.message, /HTTPS_PROXY is not the address of an HTTP proxy/);
        assert.doesNotMatch(error.message, /topsecret/);
        return true;
      });
    });
  }

  for (const [name, host, path] of [
    ['backups', 'backups.s3.eu-west-9.amazonaws.com', '/'],
    // No certificate of Amazon's is for a name with dots before its own.
    ['my.backups', 's3.eu-west-9.amazonaws.com', '/my.backups/'],
  ] as const) {
    it(`asks Amazon for the bucket ${name} at ${host}${path}`, async () => {
      const client = await createS3Client({ region: 'eu-west-9' }, impatient, { env: {} });
      let asked: { hostname: string; path: string } | undefined;
      const stop =
        () =>
        async (args: { request: unknown }): Promise<never> => {
          asked = args.request as typeof asked;
          throw new Error('enough');
        };
      client.middlewareStack.add(stop, { step: 'finalizeRequest', priority: 'low' });
      await assert.rejects(client.send(new HeadBucketCommand({ Bucket: name })), /enough/);
      assert.deepEqual([asked?.hostname, asked?.path], [host, path]);
      client.destroy();
    });
  }

  it('needs a region without an endpoint', async () => {
    await assert.rejects(openStore('s3://bucket', {}), { kind: 'config', message: /region/, hint: /AWS_REGION/ });
  });

  for (const checksumMode of ['auto', 'when-required'] as const) {
    it(`sends bodies whole, with a length and without a trailer (${checksumMode})`, async () => {
      await withAnswers(answer, async (open, server) => {
        await using store = await open({ checksumMode });
        await store.put('a', streamOf('body'));
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
        async (open, server) => {
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
      async (open, server) => {
        await using store = await open();
        await store.delete(Array.from({ length: 2_500 }, (_, index) => `key-${index}`));
        const counts = server.requests.map(({ body }) => body.toString().split('<Object>').length - 1);
        assert.deepEqual(counts, [1_000, 1_000, 500]);
      },
    );
  });

  it('lists page by page, and leaves out the folder markers of consoles', async () => {
    await withAnswers(
      ({ path }) => ({
        status: 200,
        body: path.includes('continuation-token=two') ? page(['c'], '') : page(['', 'a', 'folder/', 'b'], 'two'),
      }),
      async (open) => {
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
    'a certificate file that is not there': {
      settings: { caFile: join(environment.folder, 'none.pem') },
      message: /no such file/,
    },
    'a certificate file without a certificate': {
      settings: { caFile: join(environment.folder, 'empty.pem') },
      message: /no certificate/,
    },
  };
  for (const [what, { settings, message }] of Object.entries(wrong)) {
    it(`refuses ${what}`, async () => {
      await writeFile(join(environment.folder, 'empty.pem'), 'nothing');
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

function page(keys: readonly string[], next: string): string {
  const contents = keys.map((key) => `<Contents><Key>pre fix/${key}</Key><Size>1</Size></Contents>`).join('');
  const continuation = `<IsTruncated>${next !== ''}</IsTruncated><NextContinuationToken>${next}</NextContinuationToken>`;
  return `<ListBucketResult>${continuation}${contents}</ListBucketResult>`;
}
