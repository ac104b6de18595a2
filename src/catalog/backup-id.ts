import { randomBytes } from 'node:crypto';

const pattern = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z-[0-9a-f]{6}$/;

/** `20261123T231405Z-7f3a9c`: UTC start in seconds and three random bytes, so that ids sort by time. */
export function createBackupId(startedAt: Date, random: (count: number) => Uint8Array = randomBytes): string {
  const instant = startedAt.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `${instant}-${Buffer.from(random(3)).toString('hex')}`;
}

export function isBackupId(text: string): boolean {
  return pattern.test(text);
}
