import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../core/secret.ts';
import { deriveKey } from './derive-key.ts';

const noSalt = new Uint8Array(0);

/** HMAC-SHA-256, in base64, of a manifest's canonical bytes: only a holder of the data key can make it. */
export function macManifest(dataKey: Secret, canonicalManifest: Uint8Array): string {
  const key = deriveKey(dataKey, noSalt, 'manifest');
  const mac = createHmac('sha256', key).update(canonicalManifest).digest('base64');
  key.fill(0);
  return mac;
}

/** Whether `mac` (base64) is the manifest's; compared in constant time, letter by letter: one value, one spelling. */
export function isManifestMac(dataKey: Secret, canonicalManifest: Uint8Array, mac: string): boolean {
  const expected = Buffer.from(macManifest(dataKey, canonicalManifest));
  const given = Buffer.from(mac);
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected);
}
