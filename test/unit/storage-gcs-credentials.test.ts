import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { GcsSettings } from '../../src/storage/store-settings.ts';
import { impatient } from '../support/canned-s3.ts';
import { GcsDouble } from '../support/gcs-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';
import { GoogleTokenDouble } from '../support/google-token-double.ts';
import { listAll, randomLookingBytes, readAll } from '../support/test-bytes.ts';

const environment = await ownGoogleEnvironment();
const google = await GoogleTokenDouble.start(environment.folder);
after(async () => {
  await google[Symbol.asyncDispose]();
  await environment[Symbol.asyncDispose]();
});

describe('credentials for Google Cloud Storage', () => {
  let double: GcsDouble;

  beforeEach(async () => {
    double = await GcsDouble.start('bucket');
    double.tokens = google.tokens;
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = google.keyFile;
  });
  afterEach(async () => {
    google.clockAheadMs = 0;
    google.failure = undefined;
    google.tokens.clear();
    await google.writeKeyFile();
    await double[Symbol.asyncDispose]();
  });

  async function open(settings: GcsSettings = {}, env: Readonly<Record<string, string>> = {}): Promise<ObjectStore> {
    const gcs = { endpoint: double.endpoint, caFile: google.caFile, ...settings };
    const deps = { env: { HTTPS_PROXY: google.proxyUrl, ...env }, timings: impatient };
    return await openStore('gs://bucket/prefix', { gcs, uploadMemoryBytes: 32 * 1024 * 1024 }, deps);
  }

  async function assertRefused(expected: { kind: string; message: RegExp; hint?: RegExp }): Promise<void> {
    await using store = await open();
    for (const call of [
      async () => await store.put('a', streamOf('x')),
      async () => await readAll(store.get('a')),
      async () => await listAll(store.list('')),
      async () => await store.head('a'),
      async () => await store.delete(['a', 'b']),
    ]) {
      await assert.rejects(call, (error: Error & { kind?: string; hint?: string }) => {
        assert.equal(error.kind, expected.kind);
        assert.match(error.message, expected.message);
        assert.match(error.message, /"gs:\/\/bucket\/prefix"/);
        assert.match(error.hint ?? '', expected.hint ?? /^|\.$/);
        assert.doesNotMatch(`${error.message} ${error.hint}`, /PRIVATE KEY|token-/);
        return true;
      });
    }
  }

  it('gets one token for the key of a service account, by way of the proxy, and shows it with every request', async () => {
    await using store = await open();
    const before = google.requests;
    await store.put('small', streamOf('x'));
    await store.put('large', streamOf(randomLookingBytes(17 * 1024 * 1024)));
    assert.equal((await readAll(store.get('small'))).toString(), 'x');
    assert.equal((await listAll(store.list(''))).length, 2);
    await store.delete(['small', 'large']);
    assert.equal(google.requests, before + 1);
    assert.ok(double.requests.length >= 8);
  });

  it('says access for a key that Google does not know', async () => {
    await google.writeKeyFile(false);
    await assertRefused({
      kind: 'access',
      message: /does not accept the credentials \(invalid_grant\)/,
      hint: /GOOGLE_/,
    });
  });

  it('says what is wrong with the clock', async () => {
    google.clockAheadMs = 2 * 3600_000;
    await assertRefused({ kind: 'storage', message: /clock/, hint: /NTP/ });
  });

  it('says that credentials have expired', async () => {
    google.failure = {
      status: 400,
      body: { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' },
    };
    await assertRefused({ kind: 'access', message: /have expired or were revoked/, hint: /new credentials/ });
  });

  it('says access when the store does not take the token', async () => {
    double.tokens = new Set();
    await assertRefused({ kind: 'access', message: /does not accept the credentials/, hint: /GOOGLE_/ });
  });

  it('says that the file of the credentials is missing', async () => {
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = join(environment.folder, 'missing.json');
    await assertRefused({ kind: 'access', message: /GOOGLE_APPLICATION_CREDENTIALS does not exist/, hint: /key file/ });
  });

  it('does not show what is in a file that is no key file', async () => {
    const file = join(environment.folder, 'wrong.json');
    await writeFile(file, 'secret-content');
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = file;
    await using store = await open();
    await assert.rejects(store.head('a'), (error: Error & { kind?: string }) => {
      assert.equal(error.kind, 'access');
      assert.match(error.message, /the file of the credentials cannot be used/);
      for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
        assert.doesNotMatch(cause.message, /secret/);
      }
      return true;
    });
  });

  it('says access for a private key that is damaged', async () => {
    const file = join(environment.folder, 'damaged.json');
    const content = { type: 'service_account', client_email: 'a@b', private_key: 'not a key' };
    await writeFile(file, JSON.stringify(content));
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = file;
    await assertRefused({ kind: 'access', message: /the file of the credentials cannot be used/ });
  });

  it('works without credentials on a server that is not Google, when there are none at all', async () => {
    delete process.env['GOOGLE_APPLICATION_CREDENTIALS'];
    double.tokens = undefined;
    await using store = await open();
    await store.put('a', streamOf('x'));
    assert.equal((await readAll(store.get('a'))).toString(), 'x');
  });

  it('does not go to Google without credentials', async () => {
    delete process.env['GOOGLE_APPLICATION_CREDENTIALS'];
    await using store = await openStore('gs://bucket/prefix', {}, { env: {}, timings: impatient });
    await assert.rejects(store.head('a'), { kind: 'access', message: /no credentials found/, hint: /GOOGLE_APPL/ });
  });

  it('shows no credentials to another machine in the clear', async () => {
    await using store = await open({ endpoint: 'http://storage.example' }, { HTTP_PROXY: google.proxyUrl });
    await assert.rejects(store.head('a'), { kind: 'access' });
    assert.deepEqual(google.plainRequests, ['']);
  });

  it('takes the endpoint from STORAGE_EMULATOR_HOST, with or without a scheme, and with a path', async () => {
    delete process.env['GOOGLE_APPLICATION_CREDENTIALS'];
    double.tokens = undefined;
    for (const host of [`127.0.0.1:${double.port}`, double.endpoint, `${double.endpoint}/`]) {
      await using store = await openStore(
        'gs://bucket',
        {},
        { env: { STORAGE_EMULATOR_HOST: host }, timings: impatient },
      );
      await store.put('a', streamOf('x'));
      assert.equal((await store.head('a'))?.sizeBytes, 1);
    }
    const env = { STORAGE_EMULATOR_HOST: `${double.endpoint}/some/path` };
    await using store = await openStore('gs://bucket', {}, { env, timings: impatient });
    await assert.rejects(store.head('a'));
    assert.match(double.requests.at(-1)?.url.pathname ?? '', /^\/some\/path\/storage\/v1\/b\/bucket\/o/);
  });

  for (const endpoint of ['ftp://host', 'nonsense', 'https://user:secret@host', 'https://host?x=1']) {
    it(`refuses the endpoint ${endpoint}`, async () => {
      await assert.rejects(open({ endpoint }), (error: Error & { kind?: string; hint?: string }) => {
        assert.equal(error.kind, 'config');
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    });
  }
});
