import { z } from 'zod/v3';

/**
 * What keeps an object from being deleted or replaced, in S3's words: `governance` can be lifted by whoever has the right
 * to, `compliance` by nobody before its time. Azure's and Google's `unlocked` and `locked` retention are the same two.
 */
export const lockModes = ['governance', 'compliance'] as const;
export type LockMode = (typeof lockModes)[number];

/** The lock of one object, as its store says; it goes into the manifest. */
export const objectLockSchema = z
  .object({
    retention: z
      .object({ mode: z.enum(lockModes), /** ISO 8601. */ until: z.string().datetime() })
      .strict()
      .optional(),
    /** Stays until somebody lifts it: S3's and Azure's legal hold, Google's temporary hold. */
    legalHold: z.boolean(),
  })
  .strict();

export type ObjectLock = Readonly<z.infer<typeof objectLockSchema>>;

/** A lock as it is asked for at upload. */
export interface LockRequest {
  readonly retention?: { readonly mode: LockMode; readonly durationMs: number } | undefined;
  readonly legalHold: boolean;
}

/** Why `lock` forbids to delete its object now: a phrase such as `locked (compliance) until 2026-12-24T…`, or `null`. */
export function describeActiveLock(lock: ObjectLock | undefined, now: Date): string | null {
  if (lock === undefined) return null;
  if (lock.legalHold) return 'under legal hold';
  const { retention } = lock;
  if (retention === undefined || Date.parse(retention.until) <= now.getTime()) return null;
  return `locked (${retention.mode}) until ${retention.until}`;
}
