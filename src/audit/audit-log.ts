import type { AuditHead } from '../core/audit-head.ts';
import { randomBytes } from 'node:crypto';
import { BackupError, toBackupError } from '../core/backup-error.ts';
import type { Log } from '../core/log.ts';
import type { Secret } from '../core/secret.ts';
import { auditEventSchema, type AuditActor, type AuditEntry, type AuditEvent } from './audit-event.ts';
import { AuditFile, type Position } from './audit-file.ts';
import { defaultMaxFileBytes, type AuditSettings, type AuditSinkSetting } from './audit-settings.ts';
import { createStoreSink, createStreamSink, type AuditSink, type PutCopy } from './audit-sink.ts';
import { describeActor } from './describe-actor.ts';
import { noPrevious, sealEntry, toHead, type SealedEntry } from './seal-entry.ts';
import { createSyslogSink } from './syslog-sink.ts';

/** What the log needs from the outside. */
export interface AuditContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly now: () => Date;
  /** For the sink `stdout`. */
  readonly stdout?: NodeJS.WritableStream;
  /** For the sink `store`. */
  readonly putCopy?: PutCopy;
}

interface Waiting {
  readonly event: AuditEvent;
  readonly time: string;
  readonly settle: PromiseWithResolvers<void>;
}

/** Where entries get their place in a chain. */
interface Chain {
  prepare(check: (position: Position) => void): Promise<void>;
  append(seal: (position: Position) => readonly SealedEntry[]): Promise<readonly SealedEntry[]>;
  readHead(): Promise<AuditHead | null>;
}

/** The record of what was done with keys and backups. Every event is one entry of a chain of hashes. */
export class AuditLog {
  readonly #chain: Chain;
  readonly #sinks: readonly AuditSink[];
  readonly #settings: AuditSettings;
  readonly #context: AuditContext;
  readonly #actor: AuditActor;
  #waiting: Waiting[] = [];
  #isWriting = false;

  constructor(chain: Chain, settings: AuditSettings, context: AuditContext) {
    this.#chain = chain;
    this.#settings = settings;
    this.#context = context;
    this.#sinks = settings.sinks.map((setting) => openSink(setting, context));
    this.#actor = describeActor(context.env);
  }

  /**
   * Finds out, before anything is done that is to be recorded, whether the log takes entries and its sinks can be reached.
   * Errors: as `append`.
   */
  async prepare(): Promise<void> {
    await this.#unlessWarned('open audit log', async () => {
      await this.#chain.prepare(({ last }) => refuseMissingKey(last, this.#settings.key));
      await Promise.all(this.#sinks.map(async (sink) => await sink.prepare()));
    });
  }

  /**
   * Records what happened. Returns when the entry is on the disk and in every sink; only then may the operation report
   * success. Events that come while others are being written share one lock and one sync. Fails with `storage`, `access`,
   * `conflict` or `config` when it cannot be recorded, unless a failure is only to be warned of; and with `bug`, always,
   * for what is no event, such as one that holds a `Secret`.
   */
  async append(event: AuditEvent): Promise<void> {
    const waiting = {
      event: toEvent(event),
      time: this.#context.now().toISOString(),
      settle: Promise.withResolvers<void>(),
    };
    this.#waiting.push(waiting);
    void this.#writeWaiting();
    await this.#unlessWarned(`write ${event.action} to audit log`, async () => await waiting.settle.promise);
  }

  /**
   * The last entry that is on the disk, for the manifest: proof, later, that the log was not cut before it. `null` for a
   * log that nobody keeps, and where a failure is only to be warned of.
   */
  async describeHead(): Promise<AuditHead | null> {
    if (this.#settings.file === null && this.#sinks.length === 0) return null;
    return (await this.#unlessWarned('read audit log', async () => await this.#chain.readHead())) ?? null;
  }

  async #unlessWarned<Result>(action: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      const failure = toBackupError(error, 'storage', `cannot ${action}`);
      if (this.#settings.onFailure === 'fail') throw failure;
      this.#context.log.warn({ kind: failure.kind }, `not audited: ${failure.message}`);
      return undefined;
    }
  }

  /** Never fails: each event's own promise does. */
  async #writeWaiting(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(batch);
        for (const { settle } of batch) settle.resolve();
      } catch (error) {
        for (const { settle } of batch) settle.reject(error);
      }
    }
    this.#isWriting = false;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const entries = await this.#chain.append((position) => this.#seal(batch, position));
    const delivered = await Promise.allSettled(this.#sinks.map(async (sink) => await deliver(sink, entries)));
    const failed = delivered.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  #seal(batch: readonly Waiting[], { last, torn }: Position): SealedEntry[] {
    const { key } = this.#settings;
    refuseMissingKey(last, key);
    const entries: SealedEntry[] = [];
    let before = last;
    for (const { event, time } of batch) {
      const place: Pick<AuditEntry, 'chain' | 'sequence' | 'previous'> = {
        chain: before?.entry.chain ?? randomBytes(16).toString('hex'),
        sequence: (before?.entry.sequence ?? 0) + 1,
        previous: before?.hash ?? noPrevious,
      };
      const tornBefore = entries.length === 0 && torn !== null ? { torn } : {};
      before = sealEntry({ version: 1, ...place, time, actor: this.#actor, ...event, ...tornBefore }, key);
      entries.push(before);
    }
    return entries;
  }
}

/** Opens nothing yet: the first event makes the file. Errors: `bug` for a sink whose way out was not given. */
export function createAuditLog(settings: AuditSettings, context: AuditContext): AuditLog {
  const { file, maxFileBytes: maxBytes = defaultMaxFileBytes } = settings;
  return new AuditLog(file === null ? createMemoryChain() : new AuditFile(file, { maxBytes }), settings, context);
}

/** A chain of this process alone, for sinks without a file. */
function createMemoryChain(): Chain {
  let last: SealedEntry | null = null;
  return {
    prepare: async () => {},
    append: async (seal) => {
      const entries = seal({ last, torn: null });
      last = entries.at(-1) ?? last;
      return entries;
    },
    readHead: async () => (last === null ? null : toHead(last)),
  };
}

/** What is written has the types of an entry, so nothing else can get in: a `Secret` is no string. */
function toEvent(event: AuditEvent): AuditEvent {
  const parsed = auditEventSchema.safeParse(withinLimits(event));
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path }) => path.join('.') || 'event');
  throw new BackupError('bug', `not an audit event: ${fields.join(', ')}`);
}

const longestText = { short: 512, long: 4096 } as const;
const longFields: ReadonlySet<string> = new Set(['message', 'source', 'store']);

/** Long messages are cut, and halves of characters replaced, so that every event has a line. */
function withinLimits(value: unknown, field = ''): unknown {
  if (typeof value === 'string') {
    const limit = longFields.has(field) ? longestText.long : longestText.short;
    return (value.length > limit ? `${value.slice(0, limit - 1)}…` : value).toWellFormed();
  }
  if (typeof value !== 'object' || value === null) return value;
  // An object of a class, such as a secret, has no fields to see, and would pass for an empty one.
  if (Object.getPrototypeOf(value) !== Object.prototype) return null;
  const fields = Object.entries(value).filter(([, content]) => content !== undefined);
  return Object.fromEntries(fields.map(([name, content]) => [name, withinLimits(content, name)]));
}

/** Entries without a mac behind entries with one are what `audit verify` takes for a forgery. */
function refuseMissingKey(last: SealedEntry | null, key: Secret | undefined): void {
  if (last?.entry.mac === undefined || key !== undefined) return;
  throw new BackupError('config', 'audit log is protected by a key, and none was given', {
    hint: 'Give the key with --audit-key, or move the log away to start a new one.',
  });
}

function openSink(setting: AuditSinkSetting, { stdout, putCopy }: AuditContext): AuditSink {
  switch (setting.kind) {
    case 'syslog':
      return createSyslogSink(setting.address);
    case 'stdout':
      if (stdout === undefined) throw new BackupError('bug', 'audit log has no standard output to write to');
      return createStreamSink('standard output', stdout);
    case 'store':
      if (putCopy === undefined) throw new BackupError('bug', 'audit log has no store to write to');
      return createStoreSink(putCopy);
  }
}

async function deliver(sink: AuditSink, entries: readonly SealedEntry[]): Promise<void> {
  try {
    await sink.deliver(entries);
  } catch (error) {
    throw toBackupError(error, 'storage', `cannot write audit log to ${sink.name}`);
  }
}
