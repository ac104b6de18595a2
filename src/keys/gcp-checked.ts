import { crc32c } from './crc32c.ts';
import { DamagedAnswer, ForeignAnswer } from './gcp-errors.ts';
import type { GcpAnswer } from './gcp-client.ts';

/** The bytes of a base64 field, by the CRC-32C in another. Fails with `DamagedAnswer`, or `ForeignAnswer` without them. */
export function readChecked(answer: GcpAnswer, field: string, checksumField: string): Buffer {
  const { [field]: text, [checksumField]: checksum } = answer;
  if (typeof text !== 'string' || !isNumeric(checksum)) throw new ForeignAnswer();
  const bytes = Buffer.from(text, 'base64');
  if (crc32c(bytes) !== Number(checksum)) {
    bytes.fill(0);
    throw new DamagedAnswer(`${field} does not fit ${checksumField}`);
  }
  return bytes;
}

/** The last part of a resource's name, which is all of it below `parent`. */
export function readChildName(name: unknown, parent: RegExp): string {
  const child = typeof name === 'string' ? parent.exec(name)?.groups?.['child'] : undefined;
  if (child === undefined) throw new ForeignAnswer();
  return child;
}

/** A time (RFC 3339), or `null` where there is none. */
export function readTime(value: unknown): Date | null {
  const time = new Date(typeof value === 'string' ? value : '');
  return Number.isNaN(time.getTime()) ? null : time;
}

/** The resources of a page, and the token that leads to the next one. */
export function readPage(answer: GcpAnswer, field: string): { readonly items: GcpAnswer[]; readonly next: string } {
  const { [field]: items = [], nextPageToken: next = '' } = answer;
  if (!Array.isArray(items) || typeof next !== 'string') throw new ForeignAnswer();
  return { items: items as GcpAnswer[], next };
}

/** A 64-bit integer in JSON is text (Protocol Buffers, "ProtoJSON"); a number is taken as well. */
function isNumeric(value: unknown): value is string | number {
  return (typeof value === 'string' && /^\d+$/.test(value)) || typeof value === 'number';
}
