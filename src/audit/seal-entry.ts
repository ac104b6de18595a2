import type { AuditHead } from '../core/audit-head.ts';
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import canonicalize from 'canonicalize';
import { BackupError } from '../core/backup-error.ts';
import type { Secret } from '../core/secret.ts';
import { auditEntrySchema, type AuditEntry } from './audit-event.ts';

/** `previous` of the first entry of a chain. */
export const noPrevious = '0'.repeat(64);

/** An entry as it stands in the log: its line, without the newline, is its canonical JSON (RFC 8785) in UTF-8. */
export interface SealedEntry {
  readonly entry: AuditEntry;
  readonly line: Uint8Array;
  /** SHA-256, hex, of the line: what the next entry's `previous` says. */
  readonly hash: string;
}

/** With a key, the entry gets its `mac`: over the canonical JSON of all its other fields, `previous` included. */
export function sealEntry(entry: Omit<AuditEntry, 'mac'>, key: Secret | undefined): SealedEntry {
  const sealed = key === undefined ? entry : { ...entry, mac: macEntry(entry, key) };
  const line = canonicalBytes(sealed);
  return { entry: sealed, line, hash: sha256(line) };
}

/**
 * The entry in a line; `null` for anything else, also for an entry with other spelling, order or space than its
 * canonical form.
 */
export function parseEntry(line: Uint8Array): SealedEntry | null {
  const parsed = auditEntrySchema.safeParse(parseJson(line));
  if (!parsed.success || !canonicalBytes(parsed.data).equals(line)) return null;
  return { entry: parsed.data, line, hash: sha256(line) };
}

/** Fails with `config` for a line that is an entry of a version which this program does not know. */
export function refuseNewerEntry(line: Uint8Array): void {
  if (!isNewerEntry(line)) return;
  throw new BackupError('config', 'audit log was written by a newer version of this program', {
    hint: 'Use a newer librelog-backup with this log.',
  });
}

export function isNewerEntry(line: Uint8Array): boolean {
  const json = parseJson(line);
  if (typeof json !== 'object' || json === null || !('version' in json) || !('chain' in json)) return false;
  return typeof json.version === 'number' && json.version > 1;
}

/** Compared in constant time. */
export function isEntryMac({ mac, ...entry }: AuditEntry, key: Secret): boolean {
  return mac !== undefined && timingSafeEqual(Buffer.from(mac), Buffer.from(macEntry(entry, key)));
}

export function toHead({ entry, hash }: SealedEntry): AuditHead {
  return { chain: entry.chain, sequence: entry.sequence, hash };
}

function macEntry(entry: Omit<AuditEntry, 'mac'>, key: Secret): string {
  return createHmac('sha256', key.reveal()).update(canonicalBytes(entry)).digest('hex');
}

function canonicalBytes(entry: object): Buffer {
  const text = canonicalize(entry);
  if (text === undefined) throw new BackupError('bug', 'audit entry has no canonical form');
  return Buffer.from(text, 'utf8');
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function parseJson(line: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line));
  } catch {
    return undefined;
  }
}
