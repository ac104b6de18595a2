import { Catalog } from '../catalog/catalog.ts';
import type { Manifest, ManifestObject } from '../catalog/manifest.ts';
import { BackupError, describeError } from '../core/backup-error.ts';
import type { Compression } from '../core/compression.ts';
import { productName, productVersion } from '../core/version.ts';
import { compress } from '../pipeline/compress.ts';
import { Digest } from '../pipeline/digest.ts';
import { fanOut, type Branch } from '../pipeline/fan-out.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { findClientTool, type ClientTool } from '../postgres/client-tools.ts';
import type { Connection } from '../postgres/connection.ts';
import { acquireLabelLock } from '../postgres/label-lock.ts';
import type { DumpRequest } from '../postgres/dump-plan.ts';
import { startPgDump } from '../postgres/pg-dump.ts';
import { readServerInfo, type ServerInfo } from '../postgres/server-info.ts';
import { openSession } from '../postgres/session.ts';
import type { ObjectStore, StoredObject } from '../storage/object-store.ts';
import { audited, type AuditSubject } from './audited.ts';
import { Destinations, type FailedDestination } from './destinations.ts';
import { checkAge, type RotationPolicy } from './key-age.ts';
import { prepareEncryption, type BackupEncryption, type EncryptionRequest } from './open-encryption.ts';
import { planBackup, type BackupPlan } from './plan-backup.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

export interface CreateRequest {
  readonly connection: Connection;
  /** Where the backup goes; streamed once, whatever their number. */
  readonly stores: readonly ObjectStore[];
  /** Go on without a store that fails, as long as one is left; otherwise one failure is the backup's. */
  readonly allowPartial: boolean;
  /** Folder of this database in the store; its name by default. */
  readonly label?: string | undefined;
  readonly dump: DumpRequest;
  readonly compression: Compression;
  readonly encryption: EncryptionRequest;
  /** How old the keys may be that encrypt. */
  readonly rotation: RotationPolicy;
  /** Where to look for pg_dump instead of everywhere. */
  readonly binDir?: string | undefined;
  /** Fails the backup when pg_dump gives no byte for so long. */
  readonly stallTimeoutMs: number;
  /** Plans only: connects and decides, writes nothing. */
  readonly isDryRun: boolean;
  /** Called once, when bytes begin to flow. */
  readonly onStart?: (meter: Meter, server: ServerInfo) => void;
}

/** What a dry run decided. */
export interface DryRun {
  readonly plan: BackupPlan;
  readonly tool: ClientTool;
  readonly server: ServerInfo;
}

/** The same backup in each of its stores: one id, one content; what the stores say of its objects may differ. */
export interface CreatedBackup {
  readonly copies: readonly BackupCopy[];
  /** Stores that failed on the way, only with `allowPartial`. */
  readonly failed: readonly FailedDestination[];
}

export interface BackupCopy {
  /** Address of the store. */
  readonly store: string;
  readonly manifest: Manifest;
}

/**
 * Backs up one database. The backup exists from the moment its manifest is committed, which happens only after pg_dump
 * exited 0, every byte went through every stage and every store confirmed the object; on any failure before that nothing
 * is left. Errors: `key`, `config`, `postgres`, `conflict` (another create of this label is running), `policy` (a key is
 * overdue for rotation), `storage` and its kin, `interrupted`, `terminated`.
 */
export async function createBackup(request: CreateRequest, context: UseCaseContext): Promise<CreatedBackup | DryRun> {
  if (request.isDryRun) return await runCreate(request, context, {});
  return await audited({ action: 'encrypt', context }, async (subject) => await runCreate(request, context, subject));
}

async function runCreate(
  request: CreateRequest,
  context: UseCaseContext,
  subject: AuditSubject,
): Promise<CreatedBackup | DryRun> {
  const store = request.stores.map(({ url }) => url).join(' ');
  subject.backup = { label: request.label, store };
  warnAll(context, request.connection.warnings);
  using prepared = await prepareEncryption(request.encryption, request.compression, context);
  await using session = await openSession(request.connection, { applicationName: productName, signal: context.signal });
  const server = await readServerInfo(session);
  const tool = await findClientTool('pg_dump', { serverMajor: server.major, binDir: request.binDir, env: context.env });
  const startedAt = context.now();
  const plan = planBackup({ ...request, server, startedAt, cipherExtension: prepared.extension });
  subject.backup = { id: plan.id, label: plan.label, store };
  using encryption = await prepared.begin({ backupId: plan.id, label: plan.label });
  for (const key of encryption.keys) checkAge(key, request.rotation, context);
  if (request.isDryRun) return { plan, tool, server };

  await using lock = await acquireLabelLock(session, plan.label);
  const signal = AbortSignal.any([context.signal, abortOn(lock.lost)]);
  const { connection } = session;
  const destinations = new Destinations(request.stores, request.allowPartial);
  const run = { request, destinations, connection, context: { ...context, signal }, plan, server, tool, encryption };
  return await storeAndCommit({ ...run, startedAt });
}

/** Without its lock a backup must not go on: another one may have started. */
function abortOn(lost: Promise<BackupError>): AbortSignal {
  const controller = new AbortController();
  void lost.then((reason) => controller.abort(reason));
  return controller.signal;
}

interface Run {
  readonly request: CreateRequest;
  readonly destinations: Destinations;
  /** The very server that holds the lock. */
  readonly connection: Connection;
  readonly context: UseCaseContext;
  readonly plan: BackupPlan;
  readonly server: ServerInfo;
  readonly tool: ClientTool;
  readonly encryption: BackupEncryption;
  readonly startedAt: Date;
}

/** The archive, which is the same in every store, and what each store says of it. */
interface StoredArchive {
  readonly facts: Omit<ManifestObject, 'version' | 'serverEncryption' | 'lock'>;
  readonly receipts: ReadonlyMap<ObjectStore, StoredObject>;
}

async function storeAndCommit(run: Run): Promise<CreatedBackup> {
  const { context, destinations } = run;
  const touched = new Set<ObjectStore>();
  try {
    const archive = await storeArchive(run, touched);
    const manifests = await destinations.forEach(context.signal, async (store, signal) => {
      const object = toManifestObject(archive, store);
      await confirm(run, { store, object, signal });
      return await commit(run, { store, object, signal });
    });
    const { failed } = destinations;
    for (const { store, error } of failed) if (touched.has(store)) await removeFrom(store, run, error);
    return { copies: [...manifests].map(([store, manifest]) => ({ store: store.url, manifest })), failed };
  } catch (error) {
    for (const store of touched) await removeFrom(store, run, error);
    throw error;
  }
}

/** Streams the dump into every store; those that may have something of it are added to `touched`. */
async function storeArchive(run: Run, touched: Set<ObjectStore>): Promise<StoredArchive> {
  const { request, context, plan, server, destinations } = run;
  const identity = { backupId: plan.id, objectName: plan.objectName };
  const plain = new Meter();
  const stored = new Digest();
  request.onStart?.(plain, server);
  const squeeze = compress(request.compression, context.cores);
  const encrypt = run.encryption.encrypter.encrypt(identity);
  const stall = { meter: plain, timeoutMs: request.stallTimeoutMs, what: 'pg_dump' };
  const receipts = await runPipeline({ signal: context.signal, stall }, async (signal) => {
    await using dump = startPgDump({ tool: run.tool, plan: plan.dump, connection: run.connection }, { signal });
    const body = stored.measure(encrypt(squeeze(plain.count(dump.output))));
    const branches = fanOut(body, destinations.live.length);
    const receipts = await destinations.forEach(signal, async (store, signal, index) => {
      // A store that fails before it reads must not hold up the others.
      await using branch = branches[index] as Branch;
      const options = { createOnly: true, expectedSizeBytes: server.sizeBytes, signal };
      touched.add(store);
      return await store.put(plan.objectKey, branch, options);
    });
    warnAll(context, dump.warnings);
    return receipts;
  });
  const facts = { plainBytes: plain.bytes, storedBytes: stored.bytes, sha256: stored.sha256 };
  return { facts: { name: plan.objectName, role: 'archive', ...facts }, receipts };
}

function toManifestObject({ facts, receipts }: StoredArchive, store: ObjectStore): ManifestObject {
  const { version, serverEncryption, lock } = receipts.get(store) ?? {};
  return {
    ...facts,
    ...(store.hasStableVersions && version !== undefined && { version }),
    ...(serverEncryption !== undefined && { serverEncryption }),
    ...(lock !== undefined && { lock }),
  };
}

interface Copy {
  readonly store: ObjectStore;
  readonly object: ManifestObject;
  readonly signal: AbortSignal;
}

/** Asks the store what it has: the put's own answer is not enough to bet a company on. */
async function confirm({ plan }: Run, { store, object, signal }: Copy): Promise<void> {
  const found = await store.head(plan.objectKey, { signal });
  if (found?.sizeBytes === object.storedBytes) return;
  const size = found === null ? 'nothing' : `${found.sizeBytes} bytes`;
  throw new BackupError(
    'storage',
    `store "${store.url}" has ${size} under "${plan.objectKey}", not ${object.storedBytes} bytes`,
  );
}

/** The signal is heeded until the commit begins: its outcome must not stay unknown. */
async function commit(run: Run, { store, object, signal }: Copy): Promise<Manifest> {
  const auditHead = await run.context.audit.describeHead();
  const unsealed = { ...describeBackup(run, object), ...(auditHead !== null && { auditHead }) };
  const manifest = { ...unsealed, seal: await run.encryption.seal(unsealed) };
  signal.throwIfAborted();
  await new Catalog(store).commit(manifest);
  return manifest;
}

function describeBackup(
  { request, context, plan, server, tool, encryption, startedAt }: Run,
  object: ManifestObject,
): Omit<Manifest, 'seal'> {
  return {
    format: 'librelog-backup-manifest',
    version: 1,
    id: plan.id,
    label: plan.label,
    startedAt: startedAt.toISOString(),
    finishedAt: context.now().toISOString(),
    tool: { name: productName, version: productVersion },
    source: {
      serverVersion: server.version,
      database: server.database,
      encoding: server.encoding,
      collate: server.collate,
      ctype: server.ctype,
      sizeBytes: server.sizeBytes,
      inRecovery: server.inRecovery,
    },
    dump: { format: request.dump.format, clientVersion: tool.version, options: [...plan.dump.options] },
    compression: request.compression,
    encryption: encryption.encrypter.description,
    objects: [object],
  };
}

/**
 * Leaves nothing of a failed backup: a put that has failed may have succeeded all the same, when only its answer was
 * lost. The manifest goes first, because a backup must not outlive its objects. Runs to its end even when interrupted.
 * After a conflict, what is there under this id is somebody else's.
 */
async function removeFrom(store: ObjectStore, { plan, context }: Run, reason: unknown): Promise<void> {
  if (reason instanceof BackupError && reason.kind === 'conflict') return;
  try {
    await new Catalog(store).delete(plan);
  } catch (error) {
    // The place itself is not there: neither is anything in it.
    if (error instanceof BackupError && error.kind === 'notFound') return;
    const fields = { backup: plan.id, store: store.url, reason: describeError(reason), problem: describeError(error) };
    context.log.warn(fields, 'cannot remove what a failed backup may have left; it is not listed and can be deleted');
  }
}
