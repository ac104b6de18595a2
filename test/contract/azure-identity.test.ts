import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { AzureDouble } from '../support/azure-double.ts';
import { CannedHttp, type CannedAnswer } from '../support/canned-http.ts';
import { readAll } from '../support/test-bytes.ts';

const scope = 'https://storage.azure.com/';
const json = { 'content-type': 'application/json' };

describe('Azure by an identity of the machine', () => {
  let double: AzureDouble;
  let saved: NodeJS.ProcessEnv;
  before(async () => {
    double = await AzureDouble.start();
  });
  after(async () => await double[Symbol.asyncDispose]());
  beforeEach(() => {
    saved = { ...process.env };
    for (const name of Object.keys(process.env)) if (/^(AZURE|IDENTITY|MSI)_/.test(name)) delete process.env[name];
    process.env['AZURE_TOKEN_CREDENTIALS'] = 'ManagedIdentityCredential';
  });
  afterEach(() => {
    process.env = saved;
  });

  // One test: the identity library keeps endpoint and tokens for the whole process.
  it('says access while there is no token to be had, and then gets one for the storage service', async () => {
    let answer: CannedAnswer = { status: 400, headers: json, body: '{"error":"unauthorized"}' };
    // Managed identity as App Service offers it: a local endpoint that gives tokens to whoever knows its header.
    await using server = await CannedHttp.start(() => answer);
    process.env['IDENTITY_ENDPOINT'] = `${server.endpoint}/msi/token`;
    process.env['IDENTITY_HEADER'] = 'known';
    await using store = await double.open('a', {}, { env: { AZURE_STORAGE_KEY: '' } });
    await assert.rejects(store.head('x'), (error: Error & { kind?: string; hint?: string }) => {
      assert.equal(error.kind, 'access');
      assert.match(error.message, /cannot look at "x" in "az:.*no credentials found, or they were refused/);
      assert.match(error.hint ?? '', /AZURE_STORAGE_KEY/);
      return true;
    });

    const expires = String(Math.floor(Date.now() / 1000) + 3600);
    const token = { access_token: double.token, expires_on: expires, resource: scope, token_type: 'Bearer' };
    answer = { status: 200, headers: json, body: JSON.stringify(token) };
    await store.put('x', streamOf('x'));
    assert.equal((await readAll(store.get('x'))).toString(), 'x');
    const asked = server.requests.at(-1);
    assert.equal(asked?.headers['x-identity-header'], 'known');
    assert.match(decodeURIComponent(asked?.path ?? ''), /resource=https:\/\/storage\.azure\.com/);
    assert.equal(server.requests.length, 2);
  });
});
