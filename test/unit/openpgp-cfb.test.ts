import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { OpenPgpCfb } from '../../src/crypto/openpgp-cfb.ts';

const key = randomBytes(32);
const plain = randomBytes(100_000);
const bySsl = createCipheriv('aes-256-cfb', key, Buffer.alloc(16)).update(plain);

/** All of `bytes` in pieces of `blocks` AES blocks, changed in memory of their own. */
function apply(cfb: OpenPgpCfb, bytes: Uint8Array, blocks: number): Buffer {
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.byteLength; offset += blocks * 16) {
    pieces.push(cfb.apply(Uint8Array.from(bytes.subarray(offset, offset + blocks * 16))));
  }
  return Buffer.concat(pieces);
}

describe('OpenPgpCfb', () => {
  it("is OpenSSL's AES-256-CFB in both directions, for any size and any pieces", () => {
    const sizes = fc.oneof(fc.integer({ min: 0, max: plain.byteLength }), fc.integer({ min: 0, max: 64 }));
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 4096 }), (size, blocks) => {
        const encrypted = apply(new OpenPgpCfb(key, 'encrypt'), plain.subarray(0, size), blocks);
        assert.ok(encrypted.equals(bySsl.subarray(0, size)));
        assert.ok(apply(new OpenPgpCfb(key, 'decrypt'), encrypted, blocks).equals(plain.subarray(0, size)));
      }),
      {
        numRuns: 60,
        examples: [
          [0, 1],
          [16, 1],
          [17, 1],
          [32_768, 1024],
          [32_769, 2048],
        ],
      },
    );
  });

  it('changes the bytes where they are', () => {
    const bytes = new Uint8Array(plain.buffer.slice(plain.byteOffset, plain.byteOffset + 100));
    assert.equal(new OpenPgpCfb(key, 'encrypt').apply(bytes), bytes);
    assert.ok(bySsl.subarray(0, 100).equals(bytes));
  });

  it('refuses memory that is not aligned instead of encrypting it wrongly', () => {
    const bytes = new Uint8Array(100).subarray(1);
    assert.throws(() => new OpenPgpCfb(key, 'encrypt').apply(bytes), RangeError);
  });
});
