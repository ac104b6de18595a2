import { createHmac } from 'node:crypto';
import type { Secret } from '../core/secret.ts';

/**
 * Tells a raw key from others without revealing anything of it: the first 8 bytes of HMAC-SHA-256 under the key, in
 * hex. Part of the format (docs/format.md).
 */
export function toKeyId(key: Secret): string {
  return createHmac('sha256', key.reveal()).update('librelog-backup/v1/key-id').digest('hex').slice(0, 16);
}
