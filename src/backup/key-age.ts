import { BackupError } from '../core/backup-error.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** How old the key may be that encrypts. */
export interface RotationPolicy {
  readonly maxAgeDays: number;
  /** What an overdue key means for `create`. */
  readonly overdue: 'warn' | 'fail';
}

/** From this share of its age on, a key is said to become due. */
const warnFrom = 0.8;
const dayMs = 86_400_000;

export type KeyAge = 'unknown' | 'fresh' | 'due' | 'overdue';

export function ageInDays(createdAt: Date, now: Date): number {
  return Math.floor((now.getTime() - createdAt.getTime()) / dayMs);
}

export function judgeAge(
  createdAt: Date | null,
  { maxAgeDays }: Pick<RotationPolicy, 'maxAgeDays'>,
  now: Date,
): KeyAge {
  if (createdAt === null) return 'unknown';
  const ageMs = now.getTime() - createdAt.getTime();
  if (ageMs > maxAgeDays * dayMs) return 'overdue';
  return ageMs >= warnFrom * maxAgeDays * dayMs ? 'due' : 'fresh';
}

/**
 * Warns of a key that is due for rotation or overdue. Fails with `policy` when it is overdue and that is to be an error.
 * A key of which nobody knows the age passes.
 */
export function checkAge(
  key: { readonly name: string; readonly createdAt: Date | null },
  policy: RotationPolicy,
  { log, now }: Pick<UseCaseContext, 'log' | 'now'>,
): void {
  const age = judgeAge(key.createdAt, policy, now());
  if (key.createdAt === null || age === 'unknown' || age === 'fresh') return;
  const days = ageInDays(key.createdAt, now());
  const message = `key ${key.name} is ${days} days old, and ${policy.maxAgeDays} is the most`;
  if (age === 'overdue' && policy.overdue === 'fail') {
    throw new BackupError('policy', message, { hint: 'Rotate it with: librelog-backup keys rotate.' });
  }
  log.warn({ key: key.name, days }, age === 'overdue' ? `${message}: rotate it` : `${message}: rotate it soon`);
}
