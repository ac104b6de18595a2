import { Command } from 'commander';
import type { VerifiedKey } from '../../backup/verify-keys.ts';
import { describeKey } from '../../core/key-identity.ts';
import { toErrorDocument, type Output } from '../output/output.ts';
import {
  addOptions,
  type AuditOptions,
  type CommonOptions,
  type KeyOptions,
  type SelectOptions,
} from '../option-groups.ts';
import { runWith, toDecryptionRequest } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStore } from '../with-store.ts';

type VerifyKeysOptions = CommonOptions & AuditOptions & StoreOptions & SelectOptions & KeyOptions;

export function verifyKeysCommand(output: Output): Command {
  const command = new Command('verify').description('prove that the keys given open every backup, by opening each');
  addOptions(command, 'store', 'select', 'keys', 'audit', 'common');
  return runWith<VerifyKeysOptions>({ command, output }, async (options, context) => {
    const { verifyKeys } = await import('../../backup/verify-keys.ts');
    const { toSweepFailure } = await import('../../backup/for-each-backup.ts');
    await withStore({ options, context }, async (store) => {
      const keys = toDecryptionRequest(options);
      const backups = await verifyKeys({ store, label: options.label, keys }, context);
      context.output.result({ backups: backups.map(toDocument) }, describe(backups));
      const problems = backups.flatMap((backup) => (backup.outcome === 'failed' ? [backup.problem] : []));
      const failure = toSweepFailure(problems, backups.length, 'cannot be opened');
      if (failure !== null) throw failure;
    });
  });
}

function toDocument(backup: VerifiedKey): object {
  return backup.outcome === 'failed' ? { ...backup, problem: toErrorDocument(backup.problem) } : backup;
}

function describe(backups: readonly VerifiedKey[]): string {
  if (backups.length === 0) return 'no backups';
  const opened = backups.filter(({ outcome }) => outcome === 'opened').length;
  return [...backups.map(describeOne), `${opened} of ${backups.length} backups can be opened`].join('\n');
}

function describeOne(backup: VerifiedKey): string {
  const name = `${backup.label}/${backup.id}`;
  if (backup.outcome === 'failed') return `failed ${name}: ${backup.problem.message}`;
  const { openedBy } = backup;
  return `opened ${name}: by ${openedBy.provider === 'openpgp' ? 'OpenPGP' : describeKey(openedBy)}`;
}
