import canonicalize from 'canonicalize';
import { BackupError } from '../core/backup-error.ts';
import type { Manifest } from './manifest.ts';

/** The bytes that a seal speaks for: canonical JSON (RFC 8785), UTF-8, of the manifest without its `seal` field. */
export function canonicalManifestBytes(manifest: Omit<Manifest, 'seal'> & Partial<Pick<Manifest, 'seal'>>): Buffer {
  const { seal: _seal, ...sealed } = manifest;
  const text = canonicalize(sealed);
  if (text === undefined) throw new BackupError('bug', 'manifest has no canonical form');
  return Buffer.from(text, 'utf8');
}
