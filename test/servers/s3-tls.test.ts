import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createServer, type Server } from 'node:tls';
import { streamOf } from '../../src/core/byte-stream.ts';
import { BitFlipper } from '../support/bit-flipper.ts';
import { makeBucket, openTestStore, s3Endpoint } from '../support/s3-server.ts';
import { randomLookingBytes, readAll } from '../support/test-bytes.ts';

describe('S3 over TLS with a certificate of its own', () => {
  let folder = '';
  let server: Server;
  let endpoint = '';

  before(async () => {
    await makeBucket();
    folder = await mkdtemp(join(tmpdir(), 's3-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const request = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
      ...name,
    ];
    execFileSync('openssl', request, { stdio: 'ignore' });
    const credentials = { key: await readFile(key), cert: await readFile(cert) };
    server = createServer(credentials, (client) => {
      const target = connect(Number(new URL(s3Endpoint()).port), '127.0.0.1');
      client.pipe(target).pipe(client);
      for (const socket of [client, target]) {
        socket.on('error', () => {});
        socket.on('close', () => {
          client.destroy();
          target.destroy();
        });
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    endpoint = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });

  it('stores and reads when the file of its authority is given', async () => {
    await using store = await openTestStore({ s3: { endpoint, caFile: join(folder, 'cert.pem') } });
    const bytes = randomLookingBytes(20 * 1024 * 1024);
    await store.put('a', streamOf(bytes));
    assert.ok((await readAll(store.get('a'))).equals(bytes));
  });

  // In the random numbers with which the connection begins, and deep in what goes over it.
  for (const [direction, atByte] of [
    ['up', 20],
    ['down', 20],
    ['up', 1024 * 1024],
    ['down', 1024 * 1024],
  ] as const) {
    it(`stores and reads although a bit flips on the way ${direction}, ${atByte} bytes after the begin`, async () => {
      await using flipper = await BitFlipper.start(Number(new URL(endpoint).port));
      const settings = { endpoint: `https://127.0.0.1:${flipper.port}`, caFile: join(folder, 'cert.pem') };
      await using store = await openTestStore({ s3: settings });
      const bytes = randomLookingBytes(20 * 1024 * 1024);
      flipper.flip(direction, atByte);
      await store.put('a', streamOf(bytes));
      assert.ok((await readAll(store.get('a'))).equals(bytes));
      assert.equal(flipper.pendingFlips, 0);
    });
  }

  it('takes the file of AWS_CA_BUNDLE, unless another is given', async () => {
    const bundle = { env: { AWS_CA_BUNDLE: join(folder, 'cert.pem') } };
    await using store = await openTestStore({ s3: { endpoint } }, bundle);
    await store.put('a', streamOf('x'));
    assert.equal((await readAll(store.get('a'))).toString(), 'x');

    const env = { AWS_CA_BUNDLE: join(folder, 'none.pem') };
    await using given = await openTestStore({ s3: { endpoint, caFile: join(folder, 'cert.pem') } }, { env });
    assert.equal(await given.head('a'), null);
    await assert.rejects(openTestStore({ s3: { endpoint } }, { env }), { kind: 'config', message: /no such file/ });
  });

  it('goes through the proxy that the environment names, and says so when that refuses', async () => {
    const asked: string[] = [];
    let isOpen = true;
    const proxy = createHttpServer().on('connect', (request, client: Socket) => {
      asked.push(request.url ?? '');
      if (!isOpen) {
        client.end('HTTP/1.1 403 Forbidden\r\n\r\n');
        return;
      }
      const target = connect(Number(new URL(endpoint).port), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n');
        client.pipe(target).pipe(client);
      });
      for (const socket of [client, target]) socket.on('error', () => {});
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const env = { HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
    try {
      {
        await using store = await openTestStore({ s3: { endpoint, caFile: join(folder, 'cert.pem') } }, { env });
        await store.put('a', streamOf('x'));
        assert.equal((await readAll(store.get('a'))).toString(), 'x');
      }
      assert.ok(asked.length > 0 && asked.every((target) => target === new URL(endpoint).host));
      isOpen = false;
      const timings = { retry: { attempts: 1, firstDelayMs: 1, maxDelayMs: 1 } };
      await using store = await openTestStore({ s3: { endpoint, caFile: join(folder, 'cert.pem') } }, { env, timings });
      await assert.rejects(store.head('a'), {
        kind: 'storage',
        message: /the proxy does not let/,
        hint: /HTTPS_PROXY/,
      });
    } finally {
      proxy.close();
    }
  });

  it('refuses the server otherwise, and says why', async () => {
    await using store = await openTestStore({ s3: { endpoint } }, { env: { AWS_CA_BUNDLE: '' } });
    await assert.rejects(store.head('a'), {
      kind: 'storage',
      message: /certificate is not trusted/,
      hint: /AWS_CA_BUNDLE/,
    });
  });
});
