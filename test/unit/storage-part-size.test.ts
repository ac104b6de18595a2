import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assert as assertProperty, integer, nat, property } from 'fast-check';
import {
  planPartSize,
  s3PartLimits,
  shareMemory,
  smallestPartBytes,
  type PartLimits,
} from '../../src/storage/part-size.ts';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

/** Bytes that the first `count` parts hold. */
function capacity(count: number, limits: PartLimits, expectedSizeBytes?: number): number {
  let sum = 0;
  for (let part = 1; part <= count; part++) sum += planPartSize(part, limits, expectedSizeBytes);
  return sum;
}

/** Size of the part that holds the byte at `position`. */
function partSizeAt(position: number, expectedSizeBytes?: number): number {
  let sum = 0;
  for (let part = 1; ; part++) {
    const size = planPartSize(part, s3PartLimits, expectedSizeBytes);
    sum += size;
    if (sum > position) return size;
  }
}

describe('planPartSize', () => {
  it('begins with 8 MiB', () => assert.equal(planPartSize(1, s3PartLimits), smallestPartBytes));

  it('reaches 5 TiB within 10,000 parts of at most 5 GiB when the length is unknown', () => {
    assert.ok(capacity(9_800, s3PartLimits) >= 5 * 1024 * gibibyte);
    assert.ok(planPartSize(10_000, s3PartLimits) <= 5 * gibibyte);
  });

  it('keeps parts small for as long as it can', () => {
    assert.equal(partSizeAt(39 * gibibyte), 8 * mebibyte);
    assert.equal(partSizeAt(60 * gibibyte), 32 * mebibyte);
    assert.ok(partSizeAt(150 * gibibyte) <= 128 * mebibyte);
  });

  for (const expected of [1, 8 * gibibyte, 100 * gibibyte, 1024 * gibibyte, 5 * 1024 * gibibyte]) {
    it(`has equal parts for an object as large as expected: ${expected} bytes`, () => {
      assert.equal(partSizeAt(expected - 1, expected), planPartSize(1, s3PartLimits, expected));
    });
    it(`still reaches 5 TiB when ${expected} bytes were expected`, () => {
      assert.ok(capacity(10_000, s3PartLimits, expected) >= 5 * 1024 * gibibyte);
    });
  }

  it('holds two parts in 128 MiB for a known length up to 312 GiB', () => {
    assert.ok(2 * planPartSize(1, s3PartLimits, 312 * gibibyte) <= 128 * mebibyte);
  });

  it('takes expectations that no store can hold', () => {
    assert.ok(planPartSize(1, s3PartLimits, Number.MAX_SAFE_INTEGER) <= 5 * gibibyte);
  });

  it('reaches an expected size under the limits of other stores', () => {
    const fewParts = { maxParts: 1_000, maxPartBytes: 5 * gibibyte, maxObjectBytes: 2 * 1024 * gibibyte };
    const manyBlocks = { maxParts: 50_000, maxPartBytes: 4_000 * mebibyte, maxObjectBytes: 190 * 1024 * gibibyte };
    for (const limits of [fewParts, manyBlocks]) {
      for (const expected of [gibibyte, limits.maxObjectBytes / 2, limits.maxObjectBytes]) {
        assert.ok(capacity(limits.maxParts, limits, expected) >= expected);
      }
    }
  });

  it('never shrinks, and always gives whole MiB within the limits', () => {
    const inputs = property(integer({ min: 1, max: 9_999 }), nat({ max: 2 ** 43 }), (part, expected) => {
      const size = planPartSize(part, s3PartLimits, expected);
      assert.equal(size % mebibyte, 0);
      assert.ok(size >= smallestPartBytes && size <= s3PartLimits.maxPartBytes);
      assert.ok(planPartSize(part + 1, s3PartLimits, expected) >= size);
    });
    assertProperty(inputs);
  });
});

describe('shareMemory', () => {
  it('gives all of it to one put, and equal shares to several', () => {
    assert.equal(shareMemory(128 * mebibyte), 128 * mebibyte);
    assert.equal(shareMemory(128 * mebibyte, 1), 128 * mebibyte);
    assert.equal(shareMemory(128 * mebibyte, 4), 32 * mebibyte);
  });

  it('leaves every put one part, and is never more than there is where all have one', () => {
    const inputs = property(nat({ max: 2 ** 33 }), integer({ min: 1, max: 64 }), (memoryBytes, puts) => {
      const share = shareMemory(memoryBytes, puts);
      assert.ok(share >= smallestPartBytes);
      assert.ok(share === smallestPartBytes || share * puts <= memoryBytes);
    });
    assertProperty(inputs);
  });
});
