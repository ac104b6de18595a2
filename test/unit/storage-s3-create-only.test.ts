import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { CannedAnswer } from '../support/canned-http.ts';
import { errorBody, ownAwsEnvironment, withAnswers } from '../support/canned-s3.ts';

const environment = await ownAwsEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

describe('a create-only put into S3', () => {
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

  it('puts although another request for the object is under way for a while', async () => {
    for (const code of ['OperationAborted', 'ConditionalRequestConflict']) {
      let puts = 0;
      await withAnswers(
        ({ method, path }) => {
          if (method !== 'PUT')
            return { status: path.includes('pre%20fix') && puts < 3 ? 404 : 200, headers: { 'content-length': '8' } };
          puts += 1;
          return puts < 3 ? { status: 409, body: errorBody(code) } : { status: 200 };
        },
        async (open) => {
          await using store = await open();
          await store.put('m', streamOf('manifest'), { createOnly: true });
          assert.equal(puts, 3);
        },
      );
    }
  });

  it('says storage, not that it is there, when another request for the object stays under way', async () => {
    for (const code of ['OperationAborted', 'ConditionalRequestConflict']) {
      await withAnswers(
        ({ method, path }) => {
          if (method === 'PUT') return { status: 409, body: errorBody(code) };
          return { status: path.includes('pre%20fix') ? 404 : 200 };
        },
        async (open, server) => {
          await using store = await open();
          await assert.rejects(store.put('m', streamOf('manifest'), { createOnly: true }), { kind: 'storage' });
          assert.equal(server.requests.filter(({ method }) => method === 'PUT').length, 3);
        },
      );
    }
  });

  it('says whose the object is that is there, as far as that can be seen', async () => {
    const encrypted = errorBody('InvalidRequest', 'The object was stored using a form of Server Side Encryption.');
    const looks: Readonly<Record<string, CannedAnswer>> = {
      conflict: { status: 400, body: encrypted },
      storage: { status: 503 },
    };
    for (const [kind, look] of Object.entries(looks)) {
      let hasPut = false;
      await withAnswers(
        ({ method, path }) => {
          hasPut ||= method === 'PUT';
          if (method === 'PUT') return { status: 412, body: errorBody('PreconditionFailed') };
          if (hasPut) return look;
          return { status: path.includes('pre%20fix') ? 404 : 200 };
        },
        async (open) => {
          await using store = await open();
          await assert.rejects(store.put('m', streamOf('manifest'), { createOnly: true }), { kind });
        },
      );
    }
  });
});
