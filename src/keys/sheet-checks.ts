import { createHash } from 'node:crypto';

const lineDigits = 4;
const wholeDigits = 16;

/**
 * Finds the line with a typing error: the first 4 digits of the SHA-256 of its number, a blank, and the line without its
 * blanks. Nothing secret follows from it that the line itself does not say, so it stands beside the line only.
 */
export function checkLine(line: string, number: number): string {
  return sha256(`${number} ${line.replaceAll(' ', '')}`).slice(0, lineDigits);
}

/** Finds lines that are missing or in another order: the first 16 digits of the SHA-256 of all lines, without line ends. */
export function checkLines(lines: readonly string[]): string {
  return sha256(lines.join('')).slice(0, wholeDigits);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
