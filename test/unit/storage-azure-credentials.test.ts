import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { findAzureAccess } from '../../src/storage/azure-credentials.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreSettings } from '../../src/storage/store-settings.ts';
import { Secret } from '../../src/core/secret.ts';

const key = Buffer.alloc(64, 'k').toString('base64');
const sas = 'sv=2024-11-04&sp=rwdl&se=2030-01-01&sig=c2VjcmV0c2lnbmF0dXJl';
const publicCloud = 'https://acct.blob.core.windows.net';

function find(env: Record<string, string>, endpoint?: string): ReturnType<typeof findAzureAccess> {
  return findAzureAccess({ account: 'acct', endpoint, env });
}

describe('findAzureAccess', () => {
  it('takes the key of a connection string before everything else', () => {
    const text = `DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=${key};EndpointSuffix=core.chinacloudapi.cn`;
    const access = find({ AZURE_STORAGE_CONNECTION_STRING: text, AZURE_STORAGE_SAS_TOKEN: sas });
    assert.deepEqual(access, {
      endpoint: 'https://acct.blob.core.chinacloudapi.cn',
      credential: { kind: 'sharedKey', accountKey: key },
    });
  });

  it('takes the endpoint and the signature of a connection string', () => {
    const text = `BlobEndpoint=${publicCloud}/;SharedAccessSignature=${sas}`;
    const access = find({ AZURE_STORAGE_CONNECTION_STRING: text });
    assert.deepEqual(access, { endpoint: publicCloud, credential: { kind: 'sas', token: sas } });
  });

  it('takes a key, then a signature, then an identity', () => {
    assert.deepEqual(find({ AZURE_STORAGE_KEY: key, AZURE_STORAGE_ACCOUNT: 'acct', AZURE_STORAGE_SAS_TOKEN: sas }), {
      endpoint: publicCloud,
      credential: { kind: 'sharedKey', accountKey: key },
    });
    assert.deepEqual(find({ AZURE_STORAGE_SAS_TOKEN: `?${sas}` }).credential, { kind: 'sas', token: sas });
    assert.deepEqual(find({}).credential, { kind: 'identity' });
  });

  it('takes the endpoint from the setting, then the environment', () => {
    const env = { AZURE_STORAGE_KEY: key, AZURE_STORAGE_BLOB_ENDPOINT: 'https://other.example/' };
    assert.equal(find(env).endpoint, 'https://other.example');
    assert.equal(find(env, 'http://127.0.0.1:10000/acct').endpoint, 'http://127.0.0.1:10000/acct');
  });

  const refused: Readonly<Record<string, [Record<string, string>, RegExp]>> = {
    'a connection string for another account': [
      { AZURE_STORAGE_CONNECTION_STRING: `AccountName=other;AccountKey=${key}` },
      /in account "acct", but AZURE_STORAGE_CONNECTION_STRING is for "other"/,
    ],
    "a connection string whose endpoint is another account's": [
      { AZURE_STORAGE_CONNECTION_STRING: `BlobEndpoint=https://other.blob.example;SharedAccessSignature=${sas}` },
      /for "other"/,
    ],
    'a key for another account': [
      { AZURE_STORAGE_KEY: key, AZURE_STORAGE_ACCOUNT: 'other' },
      /AZURE_STORAGE_ACCOUNT is for "other"/,
    ],
    'a connection string without credentials': [
      { AZURE_STORAGE_CONNECTION_STRING: 'AccountName=acct' },
      /is not a connection string/,
    ],
    'what is no connection string': [{ AZURE_STORAGE_CONNECTION_STRING: key }, /is not a connection string/],
    'a key that is not base64': [{ AZURE_STORAGE_KEY: 'top secret' }, /AZURE_STORAGE_KEY is not an account key/],
    'a signature without signature': [{ AZURE_STORAGE_SAS_TOKEN: 'sv=2024' }, /no shared access signature/],
    'an identity without TLS': [{ AZURE_STORAGE_BLOB_ENDPOINT: 'http://acct.example' }, /identity.*without TLS/],
    'an endpoint with a query': [
      { AZURE_STORAGE_KEY: key, AZURE_STORAGE_BLOB_ENDPOINT: `https://acct.example?${sas}` },
      /the Azure endpoint is not/,
    ],
  };
  for (const [what, [env, message]] of Object.entries(refused)) {
    it(`refuses ${what}, and repeats no secret`, () => {
      assert.throws(
        () => find(env),
        (error: Error & { kind?: string; hint?: string }) => {
          assert.equal(error.kind, 'config');
          assert.match(error.message, message);
          assert.ok(error.hint);
          assert.doesNotMatch(inspect(error), /top secret|kkkk|a2tr|c2VjcmV0/);
          return true;
        },
      );
    });
  }
});

describe('az:// settings', () => {
  const refused: Readonly<Record<string, [StoreSettings, string, RegExp]>> = {
    'an unknown tier': [{ azure: { tier: 'Lukewarm' } }, 'config', /not an access tier/],
    'a wrong scope': [{ azure: { encryption: { method: 'azure-scope', scope: 'a b' } } }, 'config', /encryption scope/],
    'a short customer-provided key': [
      { azure: { encryption: { method: 'azure-cpk', key: Secret.fromText('short') } } },
      'key',
      /has 32 bytes, and this one has 5/,
    ],
    'a customer-provided key without TLS': [
      {
        azure: {
          endpoint: 'http://127.0.0.1:1/acct',
          encryption: { method: 'azure-cpk', key: new Secret(Buffer.alloc(32)) },
        },
      },
      'config',
      /without TLS/,
    ],
    'a tag that Azure does not take': [{ tags: { 'a?': 'x' } }, 'config', /"a\?" is not a tag/],
    'too many tags': [
      { tags: Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`tag${index}`, 'x'])) },
      'config',
      /11 tags/,
    ],
    'too little memory': [{ uploadMemoryBytes: 1024 }, 'config', /too few/],
    'a missing file of authorities': [{ azure: { caFile: '/no/such/file.pem' } }, 'config', /there is no such file/],
  };
  for (const [what, [settings, kind, message]] of Object.entries(refused)) {
    it(`refuses ${what}`, async () => {
      const opening = openStore('az://acct/backups/prefix', settings, { env: { AZURE_STORAGE_KEY: key } });
      await assert.rejects(opening, { kind, message, hint: /\.$/ });
    });
  }

  for (const prefix of ['a\\b', 'a./b', 'dot.']) {
    it(`refuses the prefix ${JSON.stringify(prefix)}, which Azure would change`, async () => {
      const opening = openStore(`az://acct/backups/${prefix}`, {}, { env: { AZURE_STORAGE_KEY: key } });
      await assert.rejects(opening, { kind: 'config', message: /not a usable prefix/ });
    });
  }

  it('refuses a proxy that is no address, without repeating its password', async () => {
    const env = { AZURE_STORAGE_KEY: key, HTTPS_PROXY: 'http://user:hunter2@proxy:port' };
    await assert.rejects(openStore('az://acct/backups', {}, { env }), (error: Error & { kind?: string }) => {
      assert.equal(error.kind, 'config');
      assert.doesNotMatch(inspect(error), /hunter2/);
      return true;
    });
  });
});
