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

/** Every part is hashed as a whole, and node:crypto takes less than 2 GiB at once. */
export const largestPartBytes = 2047 * mebibyte;

/** What one of `sharedBy` puts at once may hold of the memory for uploads: one part at least. */
export function shareMemory(memoryBytes: number, sharedBy = 1): number {
  return Math.max(smallestPartBytes, Math.floor(memoryBytes / sharedBy));
}

/** Shares of the number of parts: those of equal size, and those that the memory has room for. */
const equalShare = 0.4;
const boundedShare = 0.75;
/** How many parts it takes until the size doubles, as shares too: within the memory, and beyond it. */
const boundedDoubling = 0.025;
const unboundedDoubling = 0.0025;

export interface PartSizing {
  readonly limits: PartLimits;
  /** What a put may hold, whatever the length of its object, for as long as that can be. */
  readonly memoryBytes: number;
  readonly expectedSizeBytes?: number | undefined;
}

/**
 * How large part number `partNumber` (from 1) should be. The first two fifths of the parts have one size, with which they
 * hold `expectedSizeBytes` unless two of them would fill the memory. Then the size doubles again and again until one part
 * fills the memory, and stays there for three quarters of all parts. What is left is for objects that would not fit
 * otherwise: the size doubles up to `largestPartBytes`, and the memory with it.
 *
 * With S3's limits and 128 MiB: parts of 8 MiB up to 31 GiB of unknown length, or of 64 MiB up to 250 GiB where that was
 * expected; within the memory up to 400 or 687 GiB; 5 TiB in all.
 */
export function planPartSize(partNumber: number, sizing: PartSizing): number {
  const { maxParts, maxPartBytes } = sizing.limits;
  const bounded = Math.min(partNumber, maxParts * boundedShare);
  const boundedSteps = doublings(bounded - maxParts * equalShare, maxParts * boundedDoubling);
  const unboundedSteps = doublings(partNumber - maxParts * boundedShare, maxParts * unboundedDoubling);
  const firstBytes = planFirstPart(sizing);
  const boundBytes = Math.max(firstBytes, floorToMebibytes(sizing.memoryBytes));
  const boundedBytes = Math.min(firstBytes * 2 ** boundedSteps, boundBytes);
  return Math.min(boundedBytes * 2 ** unboundedSteps, maxPartBytes, largestPartBytes);
}

function planFirstPart({ limits, memoryBytes, expectedSizeBytes = 0 }: PartSizing): number {
  const expectedPartBytes = Math.ceil(expectedSizeBytes / (limits.maxParts * equalShare) / mebibyte) * mebibyte;
  return Math.max(smallestPartBytes, Math.min(expectedPartBytes, floorToMebibytes(memoryBytes / 2)));
}

function doublings(parts: number, partsPerDoubling: number): number {
  return Math.max(0, Math.ceil(parts / Math.max(1, partsPerDoubling)));
}

function floorToMebibytes(bytes: number): number {
  return Math.floor(bytes / mebibyte) * mebibyte;
}
