import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../core/secret.ts';
import { deriveKey } from './derive-key.ts';

const noSalt = new Uint8Array(0);

/** HMAC-SHA-256, in base64, of a manifest's canonical bytes: only a holder of the data key can make it. */
export function macManifest(dataKey: Secret, canonicalManifest: Uint8Array): string {
  return computeMac(dataKey, canonicalManifest).toString('base64');
}

/** Whether `mac` (base64) is the manifest's; compared in constant time. */
export function isManifestMac(dataKey: Secret, canonicalManifest: Uint8Array, mac: string): boolean {
  const expected = computeMac(dataKey, canonicalManifest);
  const given = Buffer.from(mac, 'base64');
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected);
}

function computeMac(dataKey: Secret, canonicalManifest: Uint8Array): Buffer {
  const key = deriveKey(dataKey, noSalt, 'manifest');
  const mac = createHmac('sha256', key).update(canonicalManifest).digest();
  key.fill(0);
  return mac;
}
