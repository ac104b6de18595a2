import { Catalog } from '../catalog/catalog.ts';
import type { Manifest } from '../catalog/manifest.ts';
import { BackupError, describeError } from '../core/backup-error.ts';
import { productName, productVersion } from '../core/version.ts';
import { Meter } from '../pipeline/meter.ts';
import { findClientTool, type ClientTool } from '../postgres/client-tools.ts';
import { acquireLabelLock } from '../postgres/label-lock.ts';
import { startPgDump } from '../postgres/pg-dump.ts';
import { localeOf, readServerInfo, type ServerInfo } from '../postgres/server-info.ts';
import { openSession } from '../postgres/session.ts';
import type { StreamPlan } from '../postgres/stream-plan.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { audited, type AuditSubject } from './audited.ts';
import { abortOn, putInto, type CreateRequest, type CreateRun } from './create-run.ts';
import { planStreamsOf, storeStreams } from './create-streams.ts';
import { Destinations, type FailedDestination } from './destinations.ts';
import { checkAge } from './key-age.ts';
import { prepareEncryption } from './open-encryption.ts';
import { archiveName, planBackup, type BackupPlan } from './plan-backup.ts';
import { storeObject, toManifestObject, type StoredBackupObject } from './store-object.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

/** What a dry run decided. */
export interface DryRun {
  readonly plan: BackupPlan;
  /** How the rows are divided; `null`: one stream. */
  readonly streams: StreamPlan | null;
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
  const { cores } = context;
  const plan = planBackup({ ...request, server, startedAt, cores, cipherExtension: prepared.extension });
  subject.backup = { id: plan.id, label: plan.label, store };
  using encryption = await prepared.begin({ backupId: plan.id, label: plan.label });
  for (const key of encryption.keys) checkAge(key, request.rotation, context);
  const { connection } = session;
  if (request.isDryRun) return await describePlan({ request, connection, context, plan, server, tool });

  await using lock = await acquireLabelLock(session, plan.label);
  const signal = AbortSignal.any([context.signal, abortOn(lock.lost)]);
  const destinations = new Destinations(request.stores, request.allowPartial);
  const meter = new Meter();
  const facts = { request, connection, plan, server, tool, encryption, startedAt, meter };
  return await storeAndCommit({
    ...facts,
    destinations,
    touched: new Set(),
    taken: new Set(),
    context: { ...context, signal },
  });
}

async function describePlan(run: Parameters<typeof planStreamsOf>[0]): Promise<DryRun> {
  const { plan, tool, server } = run;
  return { plan, streams: plan.jobs === 1 ? null : await planStreamsOf(run), tool, server };
}

async function storeAndCommit(run: CreateRun): Promise<CreatedBackup> {
  const { context, destinations, touched } = run;
  try {
    const objects = await storeObjects(run);
    const encryption = await run.encryption.describe();
    const manifests = await destinations.forEach(context.signal, async (store, signal) => {
      for (const object of objects) await confirm(object, { store, signal });
      const stored = objects.map((object) => toManifestObject(object, store));
      return await commit(run, { store, encryption, objects: stored, signal });
    });
    const { failed } = destinations;
    for (const { store, error } of failed) if (touched.has(store)) await removeFrom(store, run, error);
    return { copies: [...manifests].map(([store, manifest]) => ({ store: store.url, manifest })), failed };
  } catch (error) {
    for (const store of touched) await removeFrom(store, run, error);
    throw error;
  }
}

async function storeObjects(run: CreateRun): Promise<readonly StoredBackupObject[]> {
  const { request, server, meter } = run;
  request.onStart?.(meter, server);
  return run.plan.jobs === 1 ? [await storeArchive(run)] : await storeStreams(run);
}

async function storeArchive(run: CreateRun): Promise<StoredBackupObject> {
  const { tool, plan, connection, server } = run;
  return await storeObject(
    {
      name: archiveName(plan),
      role: 'archive',
      writer: 'pg_dump',
      expectedSizeBytes: server.sizeBytes,
      start: (signal) => startPgDump({ tool, plan: plan.dump, connection }, { signal }),
    },
    run,
    run.context.signal,
  );
}

interface Place {
  readonly store: ObjectStore;
  readonly signal: AbortSignal;
}

/** Asks the store what it has: the put's own answer is not enough to bet a company on. */
async function confirm({ key, facts }: StoredBackupObject, { store, signal }: Place): Promise<void> {
  const found = await store.head(key, { signal });
  if (found?.sizeBytes === facts.storedBytes) return;
  const size = found === null ? 'nothing' : `${found.sizeBytes} bytes`;
  throw new BackupError('storage', `store "${store.url}" has ${size} under "${key}", not ${facts.storedBytes} bytes`);
}

/** The signal is heeded until the commit begins: its outcome must not stay unknown. */
async function commit(
  run: CreateRun,
  { store, signal, ...stored }: Place & Pick<Manifest, 'encryption' | 'objects'>,
): Promise<Manifest> {
  const auditHead = await run.context.audit.describeHead();
  const unsealed = { ...describeBackup(run), ...stored, ...(auditHead !== null && { auditHead }) };
  const manifest = { ...unsealed, seal: await run.encryption.seal(unsealed) };
  signal.throwIfAborted();
  await putInto(store, run, { put: async () => await new Catalog(store).commit(manifest) });
  return manifest;
}

function describeBackup({
  request,
  context,
  plan,
  server,
  tool,
  startedAt,
}: CreateRun): Omit<Manifest, 'seal' | 'encryption' | 'objects'> {
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
      ...localeOf(server),
      sizeBytes: server.sizeBytes,
      inRecovery: server.inRecovery,
    },
    dump: { format: request.dump.format, clientVersion: tool.version, options: [...plan.dump.options] },
    compression: request.compression,
  };
}

/**
 * Leaves nothing of a failed backup: a put that has failed may have succeeded all the same, when only its answer was
 * lost. The manifest goes first, because a backup must not outlive its objects. Runs to its end even when interrupted.
 * What is there of somebody else under this id is not touched.
 */
async function removeFrom(store: ObjectStore, { plan, context, taken }: CreateRun, reason: unknown): Promise<void> {
  if (taken.has(store)) return;
  try {
    await new Catalog(store).delete(plan);
  } catch (error) {
    // The place itself is not there: neither is anything in it.
    if (error instanceof BackupError && error.kind === 'notFound') return;
    const fields = { backup: plan.id, store: store.url, reason: describeError(reason), problem: describeError(error) };
    context.log.warn(
      fields,
      'cannot remove what a failed backup may have left; it can be deleted, even if it is listed',
    );
  }
}
