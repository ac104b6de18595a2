import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { CannedAnswer } from '../support/canned-http.ts';
import { errorBody, ownAwsEnvironment, withAnswers } from '../support/canned-s3.ts';

const environment = await ownAwsEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

/** The keys that a request asks to be deleted, without the store's prefix. */
function askedKeys(body: Buffer): string[] {
  return [...body.toString().matchAll(/<Key>pre fix\/([^<]+)<\/Key>/g)].map(([, key = '']) => key);
}

function partlyFailed(failures: Readonly<Record<string, string>>): CannedAnswer {
  const errors = Object.entries(failures).map(
    ([key, code]) => `<Error><Key>pre fix/${key}</Key><Code>${code}</Code><Message>no</Message></Error>`,
  );
  return { status: 200, body: `<DeleteResult>${errors.join('')}</DeleteResult>` };
}

describe('deleting objects of S3', () => {
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

  for (const code of ['InternalError', 'SlowDown', 'ServiceUnavailable', 'OperationAborted', 'RequestTimeout']) {
    it(`asks again for those alone of which a server says ${code}`, async () => {
      const asked: string[][] = [];
      await withAnswers(
        ({ body }) => {
          asked.push(askedKeys(body));
          return partlyFailed(asked.length === 1 ? { b: code, d: code } : {});
        },
        async (open) => {
          await using store = await open();
          await store.delete(['a', 'b', 'c', 'd']);
        },
      );
      assert.deepEqual(asked, [
        ['a', 'b', 'c', 'd'],
        ['b', 'd'],
      ]);
    });

    it(`gives up where a server says ${code} again and again`, async () => {
      await withAnswers(
        ({ method }) => (method === 'POST' ? partlyFailed({ b: code }) : { status: 404 }),
        async (open, { requests }) => {
          await using store = await open();
          await assert.rejects(store.delete(['a', 'b']), { kind: 'storage', message: /^cannot delete "b" in/ });
          assert.equal(requests.filter(({ method }) => method === 'POST').length, 2);
        },
      );
    });
  }

  it('deletes what it can although an object is refused for good', async () => {
    const asked: string[][] = [];
    await withAnswers(
      ({ method, body }) => {
        if (method !== 'POST') return { status: 404 };
        asked.push(askedKeys(body));
        return partlyFailed(asked.length === 1 ? { a: 'AccessDenied', b: 'SlowDown', c: 'NoSuchKey' } : {});
      },
      async (open) => {
        await using store = await open();
        await assert.rejects(store.delete(['a', 'b', 'c']), { kind: 'access', message: /^cannot delete "a" in/ });
      },
    );
    assert.deepEqual(asked, [['a', 'b', 'c'], ['b']]);
  });

  it('counts an object that is not there as deleted, alone or among several', async () => {
    await withAnswers(
      ({ method }) => {
        if (method === 'POST') return partlyFailed({ a: 'NoSuchKey' });
        return method === 'DELETE' ? { status: 404, body: errorBody('NoSuchKey') } : { status: 200 };
      },
      async (open) => {
        await using store = await open();
        await store.delete(['a']);
        await store.delete(['a', 'b']);
      },
    );
  });

  it('says notFound when the bucket is not there, also where the server does not say what is missing', async () => {
    for (const body of [errorBody('NoSuchBucket'), '']) {
      await withAnswers(
        () => ({ status: 404, body }),
        async (open) => {
          await using store = await open();
          await assert.rejects(store.delete(['a']), { kind: 'notFound', message: /the bucket does not exist/ });
        },
      );
    }
  });
});
