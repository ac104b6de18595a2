import { setTimeout as sleep } from 'node:timers/promises';

const intervalMs = 20;

/** Waits for something that is bound to happen: fails after `timeoutMs`, saying what did not happen. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await sleep(intervalMs);
  }
}
