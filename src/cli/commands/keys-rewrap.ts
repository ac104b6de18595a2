import { Command } from 'commander';
import type { RewrappedBackup } from '../../backup/rewrap-backups.ts';
import { describeKey, type KeyIdentity } from '../../core/key-identity.ts';
import type { CommandContext } from '../context.ts';
import type { Output } from '../output/output.ts';
import { toErrorDocument } from '../output/output.ts';
import { addOptions, type AuditOptions, type CommonOptions, type SelectOptions } from '../option-groups.ts';
import { listOption, option } from '../options.ts';
import { runWith } from '../run-command.ts';
import type { StoreOptions, UploadOptions } from '../store-options.ts';
import { withStore } from '../with-store.ts';

interface RewrapOptions extends CommonOptions, AuditOptions, StoreOptions, UploadOptions, SelectOptions {
  readonly key?: readonly string[];
  readonly passphrase?: string;
  readonly toKey?: readonly string[];
  readonly toPassphrase?: string;
  readonly id?: readonly string[];
  readonly add?: boolean;
  readonly yes?: boolean;
}

export function rewrapKeysCommand(output: Output): Command {
  const command = new Command('rewrap')
    .description('wrap the data keys of AES-256 backups with other keys; says only what it would do without --yes')
    .addOption(listOption('--key <ref>', 'key that opens them today'))
    .addOption(option('--passphrase <ref>', 'passphrase that opens them today'))
    .addOption(listOption('--to-key <ref>', 'key that is to open them from now on'))
    .addOption(option('--to-passphrase <ref>', 'passphrase that is to open them from now on'))
    .addOption(listOption('--id <id>', 'only this backup; all by default'))
    .addOption(option('--add', 'keep what other keys have wrapped'))
    .addOption(option('--yes', 'write it'));
  addOptions(command, 'store', 'upload', 'select', 'audit', 'common');
  return runWith<RewrapOptions>({ command, output }, rewrap);
}

async function rewrap(options: RewrapOptions, context: CommandContext): Promise<void> {
  const { rewrapBackups } = await import('../../backup/rewrap-backups.ts');
  const { toSweepFailure } = await import('../../backup/for-each-backup.ts');
  const isDryRun = options.yes !== true;
  await withStore({ options, context }, async (store) => {
    const backups = await rewrapBackups(
      {
        store,
        label: options.label,
        ids: options.id,
        unlock: { keys: options.key, passphrase: options.passphrase },
        wrap: { keys: options.toKey, passphrase: options.toPassphrase },
        keepsOthers: options.add === true,
        isDryRun,
      },
      context,
    );
    context.output.result({ isDryRun, backups: backups.map(toDocument) }, describe(backups, isDryRun));
    const problems = backups.flatMap((backup) => (backup.outcome === 'failed' ? [backup.problem] : []));
    const tried = backups.filter(({ outcome }) => outcome !== 'skipped').length;
    const failure = toSweepFailure(problems, tried, 'cannot be rewrapped');
    if (failure !== null) throw failure;
  });
}

function toDocument(backup: RewrappedBackup): object {
  return backup.outcome === 'failed' ? { ...backup, problem: toErrorDocument(backup.problem) } : backup;
}

function describe(backups: readonly RewrappedBackup[], isDryRun: boolean): string {
  if (backups.length === 0) return 'no backups';
  const count = (...outcomes: readonly RewrappedBackup['outcome'][]) =>
    backups.filter(({ outcome }) => outcomes.includes(outcome)).length;
  const counts = [
    `${count('rewrapped', 'wouldRewrap')} ${isDryRun ? 'to rewrap' : 'rewrapped'}`,
    `${count('unchanged')} unchanged`,
    `${count('skipped')} skipped`,
    `${count('failed')} failed`,
  ].join(', ');
  const end = isDryRun ? `${counts}: nothing was written; write it with --yes` : counts;
  return [...backups.map(describeOne), end].join('\n');
}

function describeOne(backup: RewrappedBackup): string {
  const name = `${backup.label}/${backup.id}`;
  switch (backup.outcome) {
    case 'rewrapped':
      return `rewrapped ${name}: ${describeKeys(backup.before)} → ${describeKeys(backup.after)}`;
    case 'wouldRewrap':
      return `would rewrap ${name}: ${describeKeys(backup.before)} → ${describeKeys(backup.after)}`;
    case 'unchanged':
      return `unchanged ${name}: ${describeKeys(backup.after)}`;
    case 'skipped':
      return `skipped ${name}: ${backup.reason}`;
    case 'failed':
      return `failed ${name}: ${backup.problem.message}`;
  }
}

function describeKeys(keys: readonly KeyIdentity[]): string {
  return keys.map(describeKey).join(' or ');
}
