import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assert as assertProperty, asyncProperty, constantFrom, integer, nat, tuple, uint8Array } from 'fast-check';
import { BackupError } from '../../src/core/backup-error.ts';
import { streamOf } from '../../src/core/byte-stream.ts';
import type { ByteStream } from '../../src/core/byte-stream.ts';
import { decryptBytes, encryptBytes, inChunks, openBytes } from '../unit/aes-objects.ts';

const small = await encryptBytes(Buffer.from('a small object: a few hundred bytes with its header'));

/** The ways in which an object may come: the whole, in odd pieces, byte by byte. */
const deliveries: readonly ((object: Uint8Array) => ByteStream)[] = [
  (object) => streamOf(object),
  (object) => inChunks(object, 7),
  (object) => inChunks(object, 1),
];
let turn = 0;

/** By either way of opening an object, for these kinds only; the deliveries take turns. */
async function assertRefused(object: Uint8Array, what: string): Promise<void> {
  turn += 1;
  const deliver = deliveries[turn % deliveries.length] ?? streamOf;
  for (const open of [decryptBytes, openBytes]) {
    const isOurs = (error: unknown): boolean =>
      error instanceof BackupError && (error.kind === 'integrity' || (open === openBytes && error.kind === 'key'));
    await assert.rejects(async () => await open(deliver(object)), isOurs, what);
  }
}

describe('AES-256 container, small object', () => {
  it('opens in every delivery', async () => {
    for (const deliver of deliveries) {
      assert.match((await decryptBytes(deliver(small))).toString(), /^a small object/);
      assert.match((await openBytes(deliver(small))).toString(), /^a small object/);
    }
  });

  it('is refused with any single bit changed', async () => {
    for (const index of small.keys()) {
      const changed = Buffer.from(small);
      changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
      await assertRefused(changed, `bit ${index % 8} of byte ${index}`);
    }
  });

  it('is refused with any single byte replaced', async () => {
    const change = tuple(nat(small.byteLength - 1), integer({ min: 1, max: 255 }));
    await assertProperty(
      asyncProperty(change, async ([index, difference]) => {
        const changed = Buffer.from(small);
        changed[index] = (changed[index] ?? 0) ^ difference;
        await assertRefused(changed, `byte ${index}`);
      }),
    );
  });

  it('is refused when cut anywhere', async () => {
    for (const length of small.keys()) await assertRefused(small.subarray(0, length), `cut to ${length}`);
  });

  it('is refused when anything follows it', async () => {
    await assertProperty(
      asyncProperty(uint8Array({ minLength: 1, maxLength: 100 }), async (more) => {
        await assertRefused(Buffer.concat([small, more]), `${more.byteLength} more bytes`);
      }),
    );
    await assertRefused(Buffer.concat([small, small]), 'the same object again');
  });

  it('never fails with anything but our own error, whatever the bytes', async () => {
    const magic = constantFrom(Buffer.alloc(0), small.subarray(0, 8), small.subarray(0, 12));
    await assertProperty(
      asyncProperty(magic, uint8Array({ maxLength: 2000 }), async (start, rest) => {
        await assertRefused(Buffer.concat([start, rest]), 'noise');
      }),
    );
  });
});
