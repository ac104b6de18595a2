import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { streamOf } from '../../src/core/byte-stream.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { impatient, ownAwsEnvironment } from '../support/canned-s3.ts';

const environment = await ownAwsEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

const timings = { ...impatient, idleTimeoutMs: 300, patientRetry: { attempts: 2, firstDelayMs: 1, maxDelayMs: 1 } };
const body = Buffer.alloc(24 * 1024 * 1024);

/** Servers that stop in the middle: what they do with a connection. */
const stalls: Readonly<Record<string, (socket: Socket) => void>> = {
  'takes nothing of the body': (socket) => void socket.pause(),
  'takes the body and does not answer': (socket) => void socket.resume(),
  'stops in the middle of its answer': (socket) => {
    socket.resume();
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<?xml');
  },
};

describe('S3 server that stalls', () => {
  for (const [what, stall] of Object.entries(stalls)) {
    it(`gives up a server that ${what}`, async () => {
      const sockets: Socket[] = [];
      const server = createServer((socket) => {
        sockets.push(socket);
        socket.on('error', () => {});
        stall(socket);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      try {
        const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        await using store = await openStore('s3://bucket', { s3: { endpoint } }, { timings });
        // Expected to be so large that it goes out in one request which no socket buffer holds.
        await assert.rejects(store.put('a', streamOf(body), { expectedSizeBytes: 5_000 * body.byteLength + 1 }), {
          kind: 'storage',
          message: /cannot store "a" in "s3:\/\/bucket": /,
        });
        // Twice to store it; then twice to see whether it is there after all, or once where that has an answer.
        const looks = what === 'stops in the middle of its answer' ? 1 : 2;
        assert.equal(sockets.length, 2 + looks, 'it was not tried again, or too often');
      } finally {
        for (const socket of sockets) socket.destroy();
        server.close();
      }
    });
  }
});
