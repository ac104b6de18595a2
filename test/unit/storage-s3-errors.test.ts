import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import type { CannedAnswer } from '../support/canned-http.ts';
import { errorBody, ownAwsEnvironment, withAnswers } from '../support/canned-s3.ts';
import { readAll } from '../support/test-bytes.ts';

const environment = await ownAwsEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

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
    'OperationAborted, again and again': {
      answer: { status: 409, body: errorBody('OperationAborted') },
      kind: 'storage',
      message: /another request for the same place/,
      calls: 3,
    },
    'ConditionalRequestConflict, again and again': {
      answer: { status: 409, body: errorBody('ConditionalRequestConflict') },
      kind: 'storage',
      message: /another request for the same place/,
      calls: 3,
    },
    'a 409 that nobody knows': {
      answer: { status: 409, body: errorBody('InvalidBucketState', 'The bucket is busy.') },
      kind: 'storage',
      message: /The bucket is busy\. \(InvalidBucketState, HTTP 409\)/,
    },
    'an internal error without a message': {
      answer: { status: 500, body: errorBody('InternalError') },
      kind: 'storage',
      message: /InternalError, HTTP 500/,
      calls: 3,
    },
    'a 429, again and again': {
      answer: { status: 429, headers: { 'retry-after': '0' }, body: errorBody('TooManyRequests') },
      kind: 'storage',
      message: /overloaded/,
      calls: 3,
    },
    'a KMS key that does not exist': {
      answer: { status: 400, body: errorBody('KMS.NotFoundException', 'Key does not exist') },
      kind: 'key',
      message: /KMS does not know the key/,
      hint: /--sse-kms-key/,
    },
    'a KMS key that is disabled': {
      answer: { status: 400, body: errorBody('KMS.DisabledException', 'is disabled.') },
      kind: 'key',
      message: /disabled, deleted/,
      hint: /Enable/,
    },
    'a KMS key that is to be deleted': {
      answer: { status: 400, body: errorBody('KMS.KMSInvalidStateException', 'is pending deletion.') },
      kind: 'key',
      message: /disabled, deleted/,
    },
    'a KMS key that the credentials may not use': {
      answer: {
        status: 403,
        body: errorBody('AccessDenied', 'User: arn:aws:iam::1:user/b is not authorized to perform: kms:Decrypt'),
      },
      kind: 'access',
      message: /KMS refuses/,
      hint: /kms:GenerateDataKey/,
    },
    "an object under a customer's key": {
      answer: {
        status: 400,
        body: errorBody(
          'InvalidRequest',
          'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
        ),
      },
      kind: 'key',
      message: /customer's key/,
      hint: /--sse-c-key/,
    },
    'a web server': {
      answer: { status: 400, headers: { 'content-type': 'text/html' }, body: '<!doctype html><p>Hello<br>' },
      kind: 'config',
      message: /not an S3 server/,
      hint: /endpoint/,
    },
    'an answer that arrives damaged': {
      answer: { status: 500, headers: { 'x-amz-request-id': '1' }, body: '<Error><Code>InternalEr\u0004or</Co' },
      kind: 'storage',
      message: /arrived damaged/,
      hint: /https/,
      calls: 3,
    },
    'a full disk': {
      answer: { status: 500, body: errorBody('InternalError', 'cause(no space left on device)') },
      kind: 'storage',
      message: /full/,
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
        async (open, server) => {
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
        async (open, server) => {
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
      async (open) => {
        await using store = await open();
        await assert.rejects(store.head('a'), { kind: 'access' });
      },
    );
  });

  it('says why an object cannot be looked at, which HEAD leaves open', async () => {
    await withAnswers(
      ({ method }) => ({ status: 400, body: method === 'GET' ? errorBody('ExpiredToken') : '' }),
      async (open) => {
        const key = new Secret(Buffer.alloc(32));
        for (const settings of [{}, { encryption: { method: 'sse-c', key } }] as const) {
          await using store = await open(settings);
          await assert.rejects(store.head('a'), { kind: 'access', message: /session token has expired/ });
        }
      },
    );
  });

  it("tells a wrong customer's key from a missing right, as Amazon answers both with 403", async () => {
    const customerKey = 'x-amz-server-side-encryption-customer-key';
    const encrypted = errorBody('InvalidRequest', 'The object was stored using a form of Server Side Encryption.');
    for (const [isDenied, kind] of [
      [false, 'key'],
      [true, 'access'],
    ] as const) {
      await withAnswers(
        ({ headers, method }) => {
          if (isDenied || customerKey in headers) return { status: 403 };
          return { status: 400, body: method === 'GET' ? encrypted : '' };
        },
        async (open) => {
          await using store = await open({ encryption: { method: 'sse-c', key: new Secret(Buffer.alloc(32)) } });
          await assert.rejects(store.head('a'), { kind });
          await assert.rejects(readAll(store.get('a')), { kind });
        },
      );
    }
  });

  it('stores with credentials that may only write', async () => {
    await withAnswers(
      ({ method }) => (method === 'PUT' ? { status: 200, headers: { etag: '"tag"' } } : { status: 403 }),
      async (open) => {
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
      async (open) => {
        await using store = await open();
        await assert.rejects(store.put('m', streamOf('manifest')), { kind: 'integrity', message: /7 of 8 bytes/ });
      },
    );
  });

  it('does not believe a server that took an object and does not have it', async () => {
    await withAnswers(
      ({ method, path }) => ({ status: method === 'HEAD' && path.includes('pre%20fix') ? 404 : 200 }),
      async (open) => {
        await using store = await open();
        await assert.rejects(store.put('m', streamOf('x')), { kind: 'storage', message: /does not have it/ });
      },
    );
  });
});
