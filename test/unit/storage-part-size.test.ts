import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assert as assertProperty, integer, nat, property } from 'fast-check';
import {
  largestPartBytes,
  planPartSize,
  s3PartLimits,
  shareMemory,
  smallestPartBytes,
  type PartSizing,
} from '../../src/storage/part-size.ts';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

const defaults: PartSizing = { limits: s3PartLimits, memoryBytes: 128 * mebibyte };
const manyBlocks = { maxParts: 50_000, maxPartBytes: 4_000 * mebibyte, maxObjectBytes: 190 * 1024 * gibibyte };

/** Bytes that the first `count` parts hold. */
function capacity(count: number, sizing: PartSizing): number {
  let sum = 0;
  for (let part = 1; part <= count; part++) sum += planPartSize(part, sizing);
  return sum;
}

/** Size of the part that holds the byte at `position`. */
function partSizeAt(position: number, sizing: PartSizing): number {
  let sum = 0;
  for (let part = 1; ; part++) {
    const size = planPartSize(part, sizing);
    sum += size;
    if (sum > position) return size;
  }
}

describe('planPartSize', () => {
  it('begins with 8 MiB', () => assert.equal(planPartSize(1, defaults), smallestPartBytes));

  for (const expectedSizeBytes of [0, 1, 8 * gibibyte, 1024 * gibibyte, 5 * 1024 * gibibyte, Number.MAX_SAFE_INTEGER]) {
    it(`reaches 5 TiB within 10,000 parts when ${expectedSizeBytes} bytes are expected`, () => {
      assert.ok(capacity(10_000, { ...defaults, expectedSizeBytes }) >= 5 * 1024 * gibibyte);
    });
  }

  it('keeps parts small for as long as it can', () => {
    assert.equal(partSizeAt(31 * gibibyte, defaults), 8 * mebibyte);
    assert.equal(partSizeAt(40 * gibibyte, defaults), 32 * mebibyte);
  });

  it('stays within the memory up to 400 GiB, and longer where the object is expected to be large', () => {
    assert.equal(partSizeAt(400 * gibibyte, defaults), 128 * mebibyte);
    assert.equal(partSizeAt(687 * gibibyte, { ...defaults, expectedSizeBytes: 1024 * gibibyte }), 128 * mebibyte);
  });

  for (const expectedSizeBytes of [1, 8 * gibibyte, 100 * gibibyte, 250 * gibibyte]) {
    it(`has equal parts for an object as large as expected: ${expectedSizeBytes} bytes`, () => {
      const sizing = { ...defaults, expectedSizeBytes };
      assert.equal(partSizeAt(expectedSizeBytes - 1, sizing), planPartSize(1, sizing));
    });
  }

  it('holds about 500 GiB in 1,000 parts, and more with more memory', () => {
    const fewParts = { ...defaults, limits: { ...s3PartLimits, maxParts: 1_000 } };
    assert.ok(capacity(1_000, fewParts) >= 500 * gibibyte);
    const expectedSizeBytes = 2048 * gibibyte;
    assert.ok(capacity(1_000, { ...fewParts, memoryBytes: 1024 * mebibyte, expectedSizeBytes }) >= 1000 * gibibyte);
  });

  for (const limits of [s3PartLimits, { ...s3PartLimits, maxParts: 1_000 }, manyBlocks]) {
    it(`never shrinks, is whole MiB, and fits twice into the memory at first: ${limits.maxParts} parts`, () => {
      const inputs = property(
        nat(),
        nat({ max: 2 ** 43 }),
        nat({ max: 2 ** 32 }),
        (seed, expectedSizeBytes, memory) => {
          const part = 1 + (seed % (limits.maxParts - 1));
          const sizing = { limits, memoryBytes: Math.max(memory, smallestPartBytes), expectedSizeBytes };
          const size = planPartSize(part, sizing);
          assert.equal(size % mebibyte, 0);
          assert.ok(size >= smallestPartBytes && size <= Math.min(limits.maxPartBytes, largestPartBytes));
          assert.ok(planPartSize(part + 1, sizing) >= size);
          if (part <= limits.maxParts * 0.4) assert.ok(size <= Math.max(sizing.memoryBytes / 2, smallestPartBytes));
          if (part <= limits.maxParts * 0.75) assert.ok(size <= sizing.memoryBytes);
        },
      );
      assertProperty(inputs);
    });
  }

  it('plans no part that cannot be hashed at once', () => {
    assert.ok(largestPartBytes < 2 ** 31);
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
