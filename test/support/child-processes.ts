import { readFileSync } from 'node:fs';

/** Process ids of the children that a process has now (Linux only). */
export function childrenOf(pid: number): number[] {
  const list = readProcessFile(pid, `task/${pid}/children`);
  return list
    .split(' ')
    .filter((text) => text !== '')
    .map(Number);
}

/** What `/proc` shows of a process; empty when the process has just gone. */
export function readProcessFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
