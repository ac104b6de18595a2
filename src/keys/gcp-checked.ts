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

/** A 64-bit integer in JSON is text (Protocol Buffers, "ProtoJSON"); a number is taken as well. */
function isNumeric(value: unknown): value is string | number {
  return (typeof value === 'string' && /^\d+$/.test(value)) || typeof value === 'number';
}
