import type { AuditLog } from '../audit/audit-log.ts';
import type { AuditSinkSetting } from '../audit/audit-settings.ts';
import { BackupError } from '../core/backup-error.ts';
import { streamOf } from '../core/byte-stream.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { CommandContext } from './context.ts';
import type { AuditOptions } from './option-groups.ts';
import type { StoreOptions } from './store-options.ts';

/** Where copies are in a store: no label begins with `_`. */
const copyFolder = '_audit';

/** What a command records. The log is opened by the first event, so that commands without one leave no file. */
export interface CommandAudit extends Pick<AuditLog, 'prepare' | 'append' | 'describeHead'> {
  /** From now on, the sink `store` is these. Copies of what happened before them go there first. */
  copyTo(stores: readonly ObjectStore[]): Promise<void>;
}

/** Options of a command that say what is recorded and where; `store` of one that works on stores. */
export type RecordOptions = AuditOptions & Partial<Pick<StoreOptions, 'store'>>;

/** Reads the settings at once and opens nothing yet. Errors: `config` (a sink; none of them is there in this command). */
export async function openAudit(options: RecordOptions, context: Omit<CommandContext, 'audit'>): Promise<CommandAudit> {
  const { auditFile: file, auditOnFailure: onFailure = 'fail' } = options;
  const sinks = await parseSinks(options.auditSink ?? []);
  if (isNowhere(options, sinks)) {
    const problem = 'audit log is to be in the store alone, and this command opens no store';
    if (onFailure === 'fail') throw new BackupError('config', problem, { hint });
    context.log.warn({ kind: 'config' }, `not audited: ${problem}`);
  }
  if (sinks.some(({ kind }) => kind === 'stdout')) context.output.shareStdout('the audit log');
  const copies = new StoreCopies();
  let opening: Promise<AuditLog> | undefined;
  const open = async (): Promise<AuditLog> => {
    opening ??= createLog({ file, sinks, onFailure, keyReference: options.auditKey, copies }, context);
    return await opening;
  };
  return {
    prepare: async () => await (await open()).prepare(),
    append: async (event) => await (await open()).append(event),
    describeHead: async () => await (await open()).describeHead(),
    copyTo: async (stores) => await copies.copyTo(stores),
  };
}

const hint = 'Keep the file (without --audit-file none), or add --audit-sink stdout or syslog.';

/** Whether there would be copies only, in a store that is not there. */
function isNowhere({ auditFile, store = [] }: RecordOptions, sinks: readonly AuditSinkSetting[]): boolean {
  const isStoreAlone = sinks.length > 0 && sinks.every(({ kind }) => kind === 'store');
  return auditFile === 'none' && isStoreAlone && store.length === 0;
}

/** Commands that record nothing load nothing of it. */
async function parseSinks(texts: readonly string[]): Promise<readonly AuditSinkSetting[]> {
  if (texts.length === 0) return [];
  const { parseAuditSink } = await import('../audit/audit-settings.ts');
  return texts.map(parseAuditSink);
}

interface LogSettings {
  /** A path, `none`, or the user's own by default. */
  readonly file: string | undefined;
  readonly sinks: readonly AuditSinkSetting[];
  readonly onFailure: 'fail' | 'warn';
  readonly keyReference: string | undefined;
  readonly copies: StoreCopies;
}

async function createLog(
  { file, sinks, onFailure, keyReference, copies }: LogSettings,
  context: Omit<CommandContext, 'audit'>,
): Promise<AuditLog> {
  const { createAuditLog } = await import('../audit/audit-log.ts');
  const { defaultAuditFile } = await import('../audit/audit-settings.ts');
  const { env, log, now, output } = context;
  const key = keyReference === undefined ? undefined : await readAuditKey(keyReference, context);
  const path = file === 'none' ? null : (file ?? defaultAuditFile(env));
  const settings = { file: path, sinks, onFailure, ...(key !== undefined && { key }) };
  const putCopy = async (name: string, bytes: Uint8Array) => await copies.put(name, bytes);
  return createAuditLog(settings, { env, log, now, stdout: output.streams.stdout, putCopy });
}

/** The key of the macs. It lives as long as the process, and is not itself recorded. */
export async function readAuditKey(reference: string, context: Omit<CommandContext, 'audit'>) {
  const { readKeyEncryptionKey } = await import('../keys/read-key-encryption-key.ts');
  const { secret, warnings } = await readKeyEncryptionKey(reference, context);
  for (const warning of warnings) context.log.warn({}, warning);
  return secret;
}

/** Copies in every store of the command. Secrets that open the stores are used before the stores are there. */
class StoreCopies {
  #stores: readonly ObjectStore[] = [];
  #early: (readonly [name: string, bytes: Uint8Array])[] = [];

  async copyTo(stores: readonly ObjectStore[]): Promise<void> {
    this.#stores = stores;
    const early = this.#early;
    this.#early = [];
    for (const [name, bytes] of early) await this.put(name, bytes);
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#stores.length === 0) {
      this.#early.push([name, bytes]);
      return;
    }
    for (const store of this.#stores) {
      await store.put(`${copyFolder}/${name}`, streamOf(bytes), { createOnly: true });
    }
  }
}
