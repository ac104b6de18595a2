import { hkdfSync } from 'node:crypto';
import type { Secret } from '../core/secret.ts';

/** What a key derived from a data key is for. The labels are part of the format (docs/format.md): never change one. */
export type KeyPurpose = 'payload' | 'header-mac' | 'commitment' | 'manifest';

/** 32 bytes by HKDF-SHA-256 (RFC 5869), independent of the keys for any other purpose or salt. The caller wipes them. */
export function deriveKey(dataKey: Secret, salt: Uint8Array, purpose: KeyPurpose): Buffer {
  return Buffer.from(hkdfSync('sha256', dataKey.reveal(), salt, `librelog-backup/v1/${purpose}`, 32));
}
