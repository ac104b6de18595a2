import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { readSecret } from '../../src/keys/read-secret.ts';
import { parseSecretReference } from '../../src/keys/secret-reference.ts';
import { ownAwsEnvironment } from '../support/canned-s3.ts';

async function read(): Promise<string> {
  return (await readSecret(parseSecretReference('aws-sm:x'), { env: process.env })).secret.revealText();
}

describe('an AWS endpoint with a certificate of its own', () => {
  let environment: Awaited<ReturnType<typeof ownAwsEnvironment>>;
  let server: Server;
  let caFile = '';

  before(async () => {
    environment = await ownAwsEnvironment();
    const key = join(environment.folder, 'key.pem');
    caFile = join(environment.folder, 'ca.pem');
    const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', caFile];
    execFileSync('openssl', [...request, ...name], { stdio: 'ignore' });
    server = createServer({ key: await readFile(key), cert: await readFile(caFile) }, (_, response) => {
      response.end(JSON.stringify({ Name: 'x', SecretString: 'over TLS' }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    process.env['AWS_REGION'] = 'eu-west-1';
    process.env['AWS_ENDPOINT_URL'] = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => delete process.env['AWS_CA_BUNDLE']);
  after(async () => {
    server.closeAllConnections();
    server.close();
    await environment[Symbol.asyncDispose]();
  });

  it('is not trusted without its authority', async () => {
    await assert.rejects(read(), { kind: 'key', message: /is not trusted/, hint: /AWS_CA_BUNDLE/ });
  });

  it('is trusted with the file in AWS_CA_BUNDLE', async () => {
    process.env['AWS_CA_BUNDLE'] = caFile;
    assert.equal(await read(), 'over TLS');
  });

  it('fails with config when that file holds no certificate', async () => {
    process.env['AWS_CA_BUNDLE'] = join(environment.folder, 'text');
    await writeFile(process.env['AWS_CA_BUNDLE'], 'text');
    await assert.rejects(read(), { kind: 'config', message: /holds no certificate$/ });
  });
});
