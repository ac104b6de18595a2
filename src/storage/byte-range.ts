import { BackupError } from '../core/backup-error.ts';

/** Bytes from `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A range as it is asked for: from the first byte, to the object's end, unless said otherwise. */
export interface WantedRange {
  readonly start?: number | undefined;
  readonly end?: number | undefined;
}

/**
 * The part of an object of `sizeBytes` that was asked for: an end behind the object's end is the object's end, and a
 * start behind it leaves nothing to read. Fails with `bug` for what no object can have.
 */
export function clampRange(wanted: WantedRange, sizeBytes: number): ByteRange {
  const { start, end } = checkedRange(wanted);
  const clampedEnd = Math.min(end, sizeBytes);
  return { start: Math.min(start, clampedEnd), end: clampedEnd };
}

/** The range asked for, with its defaults; `end` is infinite when the object's end was meant. */
export function checkedRange(wanted: WantedRange): ByteRange {
  const { start = 0, end = Number.POSITIVE_INFINITY } = wanted;
  const isPossible =
    Number.isSafeInteger(start) && start >= 0 && (end === Number.POSITIVE_INFINITY || Number.isSafeInteger(end));
  if (!isPossible || end < start) throw new BackupError('bug', `bytes ${start} to ${end} are not a range`);
  return { start, end };
}
