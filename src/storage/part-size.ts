const mebibyte = 1024 * 1024;

/** What a store allows for the parts of one object. */
export interface PartLimits {
  readonly maxParts: number;
  readonly maxPartBytes: number;
  readonly maxObjectBytes: number;
}

/** Amazon S3's: 10,000 parts of at most 5 GiB each, 5 TiB in all ("Amazon S3 multipart upload limits", user guide). */
export const s3PartLimits: PartLimits = {
  maxParts: 10_000,
  maxPartBytes: 5 * 1024 * mebibyte,
  maxObjectBytes: 5 * 1024 * 1024 * mebibyte,
};

/** No part is planned smaller: below it, requests cost more than bytes. S3 itself wants 5 MiB. */
export const smallestPartBytes = 8 * mebibyte;

/** What one of `sharedBy` puts at once may hold of the memory for uploads: one part at least. */
export function shareMemory(memoryBytes: number, sharedBy = 1): number {
  return Math.max(smallestPartBytes, Math.floor(memoryBytes / sharedBy));
}

const doublings = 10;

/**
 * How large part number `partNumber` (from 1) of an object of unknown length should be. The first half of the parts
 * has one size, with which they hold `expectedSizeBytes`; from then on the size doubles every twentieth of the parts.
 * So an object that is as large as expected has equal parts, and one that outgrows every expectation still goes on:
 * with S3's limits 8 MiB parts up to 39 GiB, 64 MiB parts up to 94 GiB, and 5 TiB within 9,800 parts.
 */
export function planPartSize(partNumber: number, limits: PartLimits, expectedSizeBytes = 0): number {
  const equalParts = Math.floor(limits.maxParts / 2);
  const partsPerDoubling = Math.max(1, Math.floor((limits.maxParts - equalParts) / doublings));
  const steps = Math.max(0, Math.ceil((partNumber - equalParts) / partsPerDoubling));
  const expectedPartBytes = Math.min(expectedSizeBytes, limits.maxObjectBytes) / equalParts;
  const firstBytes = Math.ceil(Math.max(smallestPartBytes, expectedPartBytes) / mebibyte) * mebibyte;
  return Math.min(firstBytes * 2 ** Math.min(steps, doublings), limits.maxPartBytes);
}
