import { readChildName, readTime } from './gcp-checked.ts';
import type { GcpAnswer } from './gcp-client.ts';
import { ForeignAnswer } from './gcp-errors.ts';

/** A version of a key, as Cloud KMS tells of it. */
export interface KmsVersion {
  readonly number: string;
  readonly createdAt: Date | null;
  /** `ENABLED`, `PENDING_GENERATION`, `DESTROY_SCHEDULED`, … */
  readonly state: string;
}

/** Fails with `ForeignAnswer`. */
export function readKmsVersion({ name, createTime, state }: GcpAnswer): KmsVersion {
  const number = readChildName(name, /\/cryptoKeys\/[^/]+\/cryptoKeyVersions\/(?<child>\d+)$/);
  if (typeof state !== 'string') throw new ForeignAnswer();
  return { number, createdAt: readTime(createTime), state };
}

/** Of a key; `null` when it has none. Fails with `ForeignAnswer`. */
export function readPrimaryVersion({ name, primary }: GcpAnswer): KmsVersion | null {
  readChildName(name, /\/cryptoKeys\/(?<child>[^/]+)$/);
  return primary === undefined ? null : readKmsVersion(primary as GcpAnswer);
}
