import type { AuditHead } from '../../core/audit-head.ts';
import { Command, InvalidArgumentError } from 'commander';
import { auditActions, auditOutcomes, type AuditAction, type AuditOutcome } from '../../audit/audit-actions.ts';
import type { AuditEntry } from '../../audit/audit-event.ts';
import type { AuditReport } from '../../audit/verify-audit.ts';
import { BackupError } from '../../core/backup-error.ts';
import { parseDuration } from '../../core/duration.ts';
import type { Secret } from '../../core/secret.ts';
import type { CommandContext } from '../context.ts';
import { formatDuration, formatTable } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { addOptions, type CommonOptions } from '../option-groups.ts';
import { listOption, option, parseCount } from '../options.ts';
import { readAuditKey } from '../open-audit.ts';
import { runWith } from '../run-command.ts';
import type { StoreOptions } from '../store-options.ts';
import { withStores } from '../with-store.ts';

interface FileOptions extends CommonOptions {
  readonly auditFile?: string;
}

export function auditCommand(output: Output): Command {
  return new Command('audit').addCommand(showCommand(output)).addCommand(verifyCommand(output));
}

function fileOption() {
  return option('--audit-file <file>', 'path of the audit log; in the state folder of the user by default');
}

async function findFile({ auditFile }: FileOptions, { env }: CommandContext): Promise<string> {
  const { defaultAuditFile } = await import('../../audit/audit-settings.ts');
  return auditFile ?? defaultAuditFile(env);
}

interface ShowOptions extends FileOptions {
  readonly since?: Date;
  readonly until?: Date;
  readonly action?: readonly string[];
  readonly backup?: string;
  readonly outcome?: AuditOutcome;
  readonly user?: string;
  readonly last?: number;
}

function showCommand(output: Output): Command {
  const command = new Command('show')
    .description('list what was recorded, oldest first; says nothing about whether it can be trusted')
    .addOption(fileOption())
    .addOption(
      option('--since <time>', 'from this time on: 2026-11-24, 2026-11-24T08:00Z, or 26h ago').argParser(parseTime),
    )
    .addOption(option('--until <time>', 'before this time').argParser(parseTime))
    .addOption(listOption('--action <action>', `what was done: ${auditActions.join(', ')}`))
    .addOption(option('--backup <id>', 'id or label of a backup'))
    .addOption(option('--outcome <outcome>', 'how it ended').choices(auditOutcomes))
    .addOption(option('--user <name>', 'who did it'))
    .addOption(option('--last <n>', 'only the newest n').argParser(parseCount));
  addOptions(command, 'common');
  return runWith<ShowOptions>({ command, output }, async (options, context) => {
    const { readAudit } = await import('../../audit/read-audit.ts');
    const { since, until, action, backup, outcome, user, last } = options;
    const actions = action?.map(parseAction);
    const filter = { since, until, actions, backup, outcome, user };
    const entries: AuditEntry[] = [];
    for await (const entry of readAudit(await findFile(options, context), filter)) {
      entries.push(entry);
      if (last !== undefined && entries.length > last) entries.shift();
    }
    context.output.result({ entries }, describeEntries(entries));
  });
}

interface VerifyOptions extends FileOptions, StoreOptions {
  readonly auditKey?: string | readonly string[];
  readonly auditHead?: readonly string[];
  readonly otherChain?: readonly string[];
}

function verifyCommand(output: Output): Command {
  const command = new Command('verify')
    .description('prove that no entry was altered, removed, inserted or moved, and name the first that was')
    .addOption(fileOption())
    .addOption(listOption('--audit-key <ref>', 'key of the log: file:PATH or env:NAME; several after a rotation'))
    .addOption(
      listOption('--audit-head <head>', 'CHAIN:SEQUENCE:HASH as recorded elsewhere: proves that the end is there'),
    )
    .addOption(
      listOption(
        '--other-chain <chain>',
        'chain of another log, or none: fails when a recorded head is of any further one',
      ),
    );
  addOptions(command, 'store', 'common');
  return runWith<VerifyOptions>({ command, output }, async (options, context) => {
    const { verifyAudit } = await import('../../audit/verify-audit.ts');
    using keys = await readAuditKeys([options.auditKey ?? []].flat(), context);
    const given = (options.auditHead ?? []).map(parseHead);
    const expected = options.otherChain?.map(parseChain);
    const recorded = options.store === undefined ? [] : await readRecordedHeads(options, context);
    const evidence = { keys: keys.secrets, heads: [...given, ...recorded] };
    const report = await verifyAudit(await findFile(options, context), evidence);
    context.output.result(report, describeReport(report));
    const { problem } = report;
    if (problem === null) return refuseOtherChains(report, expected);
    const { kind, file, line, sequence, reason } = problem;
    throw new BackupError('integrity', `audit log is ${kind} at entry ${sequence}, "${file}" line ${line}: ${reason}`);
  });
}

/** A log that was taken away and begun anew is whole: only heads tell of the one before. */
function refuseOtherChains({ otherChains }: AuditReport, expected: readonly string[] | undefined): void {
  const unknown = otherChains.filter((chain) => expected?.includes(chain) === false);
  if (unknown.length === 0) return;
  throw new BackupError('integrity', `recorded heads are of chains that are not in this log: ${unknown.join(', ')}`, {
    hint: 'Find out whose they are: name those of other hosts with --other-chain.',
  });
}

/** What the manifests of the stores say of audit logs, of this host's and of others'. */
async function readRecordedHeads(options: StoreOptions, context: CommandContext): Promise<readonly AuditHead[]> {
  const { Catalog } = await import('../../catalog/catalog.ts');
  return await withStores({ options, context }, async (stores) => {
    const heads: AuditHead[] = [];
    for (const store of stores) {
      for (const { manifest } of await new Catalog(store).list()) {
        if (manifest?.auditHead !== undefined) heads.push(manifest.auditHead);
      }
    }
    return heads;
  });
}

async function readAuditKeys(
  references: readonly string[],
  context: CommandContext,
): Promise<Disposable & { readonly secrets: readonly Secret[] }> {
  const opened = new DisposableStack();
  const secrets: Secret[] = [];
  for (const reference of references) secrets.push(opened.use(await readAuditKey(reference, context)));
  return { secrets, [Symbol.dispose]: () => opened.dispose() };
}

/** A date, a time, or how long ago. */
function parseTime(text: string): Date {
  if (/^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?$/.test(text)) {
    const time = new Date(text);
    if (!Number.isNaN(time.getTime())) return time;
  }
  try {
    return new Date(Date.now() - parseDuration(text));
  } catch {
    throw new InvalidArgumentError('It must be a time, as 2026-11-24T08:00Z, or how long ago, as 26h.');
  }
}

function parseAction(text: string): AuditAction {
  const action = auditActions.find((known) => known === text);
  if (action !== undefined) return action;
  throw new BackupError('usage', `"${text}" is not an action of the audit log`, {
    hint: `Write one of ${auditActions.join(', ')}.`,
  });
}

function parseHead(text: string): AuditHead {
  const pattern = /^(?<chain>[0-9a-f]{32}):(?<sequence>[1-9]\d{0,14}):(?<hash>[0-9a-f]{64})$/;
  const { chain, sequence, hash } = pattern.exec(text)?.groups ?? {};
  if (chain !== undefined && hash !== undefined) return { chain, sequence: Number(sequence), hash };
  throw new BackupError('usage', `"${text}" is not a head of an audit log`, { hint: 'Write CHAIN:SEQUENCE:HASH.' });
}

function parseChain(text: string): string {
  if (text === 'none' || /^[0-9a-f]{32}$/.test(text)) return text;
  throw new BackupError('usage', `"${text}" is not a chain of an audit log`, { hint: 'Write 32 hex digits, or none.' });
}

function describeEntries(entries: readonly AuditEntry[]): string {
  if (entries.length === 0) return 'no entries';
  return formatTable([
    ['ENTRY', 'TIME', 'WHO', 'ACTION', 'OUTCOME', 'TOOK', 'BACKUP', 'KEY'],
    ...entries.map(describeEntry),
  ]);
}

function describeEntry({
  sequence,
  time,
  actor,
  action,
  outcome,
  durationMs,
  backup,
  key,
  error,
}: AuditEntry): string[] {
  const who = `${actor.user}${actor.sudoUser === undefined ? '' : `(${actor.sudoUser})`}@${actor.pod ?? actor.host}`;
  const took = durationMs === undefined ? '-' : formatDuration(durationMs);
  const name = [backup?.label, backup?.id].filter((part) => part !== undefined).join('/');
  const version = key?.version === undefined ? '' : `@${key.version}`;
  const what = key === undefined ? '-' : `${key.purpose} ${key.source}${version}`;
  const last = error === undefined ? what : `${what} ${error.kind}: ${error.message}`;
  return [String(sequence), time, who, action, outcome, took, name || '-', last].map(withoutControls);
}

/** What was recorded must not steer the terminal, or look like two lines. */
function withoutControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}

function describeReport(report: AuditReport): string {
  const { entries, head, macs, headsChecked, otherChains, torn, problem } = report;
  const proof = { none: 'has no macs', unchecked: 'has macs, not checked without a key', checked: 'macs are right' }[
    macs
  ];
  const heads = headsChecked === 0 ? 'nothing proves its end' : `${headsChecked} recorded heads are in it`;
  return [
    ...(problem === null ? [`audit log is whole: ${entries} entries; ${proof}; ${heads}`] : []),
    ...(problem === null && head !== null ? [`head ${head.chain}:${head.sequence}:${head.hash}`] : []),
    ...torn.map(
      ({ file, line, bytes }) => `unfinished line of a writer that was cut off: "${file}" line ${line}, ${bytes} bytes`,
    ),
    ...otherChains.map((chain) => `a recorded head is of chain ${chain}, which is another log`),
  ].join('\n');
}
