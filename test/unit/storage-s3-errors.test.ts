import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
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

  it('sees the object of another although the server does not heed the condition', async () => {
    const theirs = { 'content-length': '8', 'x-amz-meta-librelog-put-id': 'theirs' };
    let hasPut = false;
    await withAnswers(
      ({ method, path }) => {
        hasPut ||= method === 'PUT';
        if (method === 'PUT' || !path.includes('pre%20fix')) return { status: 200 };
        return hasPut ? { status: 200, headers: theirs } : { status: 404 };
      },
      async (open) => {
        await using store = await open();
        await assert.rejects(store.put('m', streamOf('manifest'), { createOnly: true }), { kind: 'conflict' });
        assert.ok(hasPut);
      },
    );
  });

  it('names the object that could not be deleted among several', async () => {
    const body = `<DeleteResult><Error><Key>pre fix/b</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>`;
    await withAnswers(
      () => ({ status: 200, body }),
      async (open) => {
        await using store = await open();
        await assert.rejects(store.delete(['a', 'b']), { message: /cannot delete "b" in/ });
      },
    );
  });
});
