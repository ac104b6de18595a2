import { Command } from 'commander';
import { audited } from '../../backup/audited.ts';
import type { VerifyLevel, VerifyReport } from '../../backup/verify-backup.ts';
import { formatBytes } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import {
  addOptions,
  type AuditOptions,
  type CommonOptions,
  type KeyOptions,
  type SelectOptions,
} from '../option-groups.ts';
import { option } from '../options.ts';
import { runWith, toDecryptionRequest } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStore } from '../with-store.ts';
import { toSelector, toSubject } from '../select-backup.ts';

interface VerifyOptions extends CommonOptions, AuditOptions, StoreOptions, SelectOptions, KeyOptions {
  readonly level: VerifyLevel;
  readonly pgBin?: string;
}

export function verifyCommand(output: Output): Command {
  const command = new Command('verify')
    .argument('[id]', 'id of the backup, or latest', 'latest')
    .addOption(
      option('--level <level>', 'presence: sizes; digest: every stored byte; decrypt: every byte of the dump')
        .choices(['presence', 'digest', 'decrypt'])
        .default('digest'),
    )
    .addOption(option('--pg-bin <folder>', "where PostgreSQL's client tools are"));
  addOptions(command, 'store', 'select', 'keys', 'audit', 'common');
  return runWith<VerifyOptions>({ command, output }, async (options, context, args) => {
    const { Catalog } = await import('../../catalog/catalog.ts');
    const { verifyBackup } = await import('../../backup/verify-backup.ts');
    const selector = toSelector(args[0], options);
    await withStore({ options, context }, async (store) => {
      const report = await audited({ action: 'verify', context }, async (subject) => {
        subject.backup = toSubject(selector, store);
        const manifest = await new Catalog(store).find(selector);
        subject.backup = { id: manifest.id, label: manifest.label, store: store.url };
        const keys = toDecryptionRequest(options);
        const request = { store, manifest, level: options.level, keys, binDir: options.pgBin };
        return await verifyBackup(request, context);
      });
      context.output.result(report, describeReport(report));
    });
  });
}

function describeReport({ label, id, level, storedBytes, entries }: VerifyReport): string {
  const proven = {
    presence: `${formatBytes(storedBytes)} are there`,
    digest: `${formatBytes(storedBytes)} are as they were written`,
    decrypt: `${formatBytes(storedBytes)} decrypt to a whole dump${entries === null ? '' : ` of ${entries} entries`}`,
  }[level];
  return `verified ${label}/${id}: ${proven}`;
}
