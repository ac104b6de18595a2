import { BackupError } from './backup-error.ts';

const unitMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `30m`, `26h`, `7d` in milliseconds; anything else is a `usage` error. */
export function parseDuration(text: string): number {
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text.trim()) ?? [];
  const factor = unitMs[unit];
  if (count === undefined || factor === undefined) {
    throw new BackupError('usage', `"${text}" is not a duration`, {
      hint: 'Write a number and a unit: 90s, 30m, 26h or 7d.',
    });
  }
  return Number(count) * factor;
}
