import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditEvent } from '../../src/audit/audit-event.ts';
import { createAuditLog, type AuditContext, type AuditLog } from '../../src/audit/audit-log.ts';
import type { AuditSettings } from '../../src/audit/audit-settings.ts';

export interface AuditLogUnderTest extends Disposable {
  readonly folder: string;
  readonly path: string;
  readonly warnings: string[];
  /** Another writer of the same log. */
  open(settings?: Partial<AuditSettings>, context?: Partial<AuditContext>): AuditLog;
  lines(): Promise<string[]>;
}

/** A log in a folder of its own, which dispose removes. */
export function createAuditLogUnderTest(): AuditLogUnderTest {
  const folder = mkdtempSync(join(tmpdir(), 'librelog-audit-'));
  const path = join(folder, 'log', 'audit.jsonl');
  const warnings: string[] = [];
  const log = { debug: () => {}, info: () => {}, warn: (_: unknown, message: string) => void warnings.push(message) };
  return {
    folder,
    path,
    warnings,
    open: (settings, context) =>
      createAuditLog(
        { file: path, sinks: [], onFailure: 'fail', ...settings },
        { env: {}, now: () => new Date('2026-11-24T01:02:03.004Z'), log, ...context },
      ),
    lines: async () => (await readFile(path, 'utf8')).split('\n').slice(0, -1),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export const encryptEvent: AuditEvent = {
  action: 'encrypt',
  outcome: 'success',
  durationMs: 1234,
  backup: { id: '20261124T010203Z-7f3a9c', label: 'shop', store: 's3://backups/nightly' },
  key: { source: 'vault:kv/backup#key', id: '3f9a', version: '7', purpose: 'wrap' },
};

/** An event that can be told from others by its duration. */
export function numberedEvent(number: number): AuditEvent {
  return { action: 'key-access', outcome: 'success', durationMs: number };
}
