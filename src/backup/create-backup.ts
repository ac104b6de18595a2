import { Catalog } from '../catalog/catalog.ts';
import type { Manifest, ManifestObject } from '../catalog/manifest.ts';
import { BackupError, describeError } from '../core/backup-error.ts';
import type { Compression } from '../core/compression.ts';
import { productName, productVersion } from '../core/version.ts';
import { compress } from '../pipeline/compress.ts';
import { Digest } from '../pipeline/digest.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import { findClientTool, type ClientTool } from '../postgres/client-tools.ts';
import type { Connection } from '../postgres/connection.ts';
import { acquireLabelLock } from '../postgres/label-lock.ts';
import type { DumpRequest } from '../postgres/dump-plan.ts';
import { startPgDump } from '../postgres/pg-dump.ts';
import { readServerInfo, type ServerInfo } from '../postgres/server-info.ts';
import { openSession } from '../postgres/session.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { openEncryption, type BackupEncryption, type EncryptionRequest } from './open-encryption.ts';
import { planBackup, type BackupPlan } from './plan-backup.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

export interface CreateRequest {
  readonly connection: Connection;
  readonly store: ObjectStore;
  /** Folder of this database in the store; its name by default. */
  readonly label?: string | undefined;
  readonly dump: DumpRequest;
  readonly compression: Compression;
  readonly encryption: EncryptionRequest;
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

/**
 * Backs up one database. The backup exists from the moment its manifest is committed, which happens only after pg_dump
 * exited 0, every byte went through every stage and the store confirmed the object; on any failure before that nothing
 * is left. Errors: `key`, `config`, `postgres`, `conflict` (another create of this label is running), `storage` and its
 * kin, `interrupted`, `terminated`.
 */
export async function createBackup(request: CreateRequest, context: UseCaseContext): Promise<Manifest | DryRun> {
  warnAll(context, request.connection.warnings);
  using encryption = await openEncryption(request.encryption, request.compression, context);
  await using session = await openSession(request.connection, { applicationName: productName, signal: context.signal });
  const server = await readServerInfo(session);
  const tool = await findClientTool('pg_dump', { serverMajor: server.major, binDir: request.binDir, env: context.env });
  const startedAt = context.now();
  const plan = planBackup({ ...request, server, startedAt, cipherExtension: encryption.encrypter.extension });
  if (request.isDryRun) return { plan, tool, server };

  await using lock = await acquireLabelLock(session, plan.label);
  const signal = AbortSignal.any([context.signal, abortOn(lock.lost)]);
  const { connection } = session;
  const run: Run = { request, connection, context: { ...context, signal }, plan, server, tool, encryption, startedAt };
  const object = await storeArchive(run);
  return await commit(run, object);
}

/** Without its lock a backup must not go on: another one may have started. */
function abortOn(lost: Promise<BackupError>): AbortSignal {
  const controller = new AbortController();
  void lost.then((reason) => controller.abort(reason));
  return controller.signal;
}

interface Run {
  readonly request: CreateRequest;
  /** The very server that holds the lock. */
  readonly connection: Connection;
  readonly context: UseCaseContext;
  readonly plan: BackupPlan;
  readonly server: ServerInfo;
  readonly tool: ClientTool;
  readonly encryption: BackupEncryption;
  readonly startedAt: Date;
}

async function storeArchive(run: Run): Promise<ManifestObject> {
  const { request, context, plan, server } = run;
  const identity = { backupId: plan.id, objectName: plan.objectName };
  const plain = new Meter();
  const stored = new Digest();
  request.onStart?.(plain, server);
  const squeeze = compress(request.compression, context.cores);
  const encrypt = run.encryption.encrypter.encrypt(identity);
  const stall = { meter: plain, timeoutMs: request.stallTimeoutMs, what: 'pg_dump' };
  const receipt = await runPipeline({ signal: context.signal, stall }, async (signal) => {
    await using dump = startPgDump({ tool: run.tool, plan: plan.dump, connection: run.connection }, { signal });
    const body = stored.measure(encrypt(squeeze(plain.count(dump.output))));
    const options = { createOnly: true, expectedSizeBytes: server.sizeBytes, signal };
    const receipt = await request.store.put(plan.objectKey, body, options);
    warnAll(context, dump.warnings);
    return receipt;
  });
  const object: ManifestObject = {
    name: plan.objectName,
    role: 'archive',
    plainBytes: plain.bytes,
    storedBytes: stored.bytes,
    sha256: stored.sha256,
    ...(request.store.hasStableVersions && receipt.version !== undefined && { version: receipt.version }),
  };
  await confirm(run, object);
  return object;
}

/** Asks the store what it has: the put's own answer is not enough to bet a company on. */
async function confirm(run: Run, object: ManifestObject): Promise<void> {
  const { request, context, plan } = run;
  const found = await request.store.head(plan.objectKey, { signal: context.signal });
  if (found?.sizeBytes === object.storedBytes) return;
  const size = found === null ? 'nothing' : `${found.sizeBytes} bytes`;
  const error = new BackupError(
    'storage',
    `store "${request.store.url}" has ${size} under "${plan.objectKey}", not ${object.storedBytes} bytes`,
  );
  await removeAll(run, error);
  throw error;
}

async function commit(run: Run, object: ManifestObject): Promise<Manifest> {
  const { request, context } = run;
  try {
    const unsealed = describeBackup(run, object);
    const manifest = { ...unsealed, seal: await run.encryption.seal(unsealed) };
    context.signal.throwIfAborted();
    await new Catalog(request.store).commit(manifest);
    return manifest;
  } catch (error) {
    await removeAll(run, error);
    throw error;
  }
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
 * Leaves nothing of a failed backup. The manifest goes first: its put may have succeeded although its answer was lost,
 * and a backup must not outlive its objects. Runs to its end even when interrupted.
 */
async function removeAll({ request, plan, context }: Run, reason: unknown): Promise<void> {
  try {
    await new Catalog(request.store).delete(plan);
  } catch (error) {
    const fields = { backup: plan.id, reason: describeError(reason), problem: describeError(error) };
    context.log.warn(fields, 'cannot remove what a failed backup left behind; it is not listed and can be deleted');
  }
}
