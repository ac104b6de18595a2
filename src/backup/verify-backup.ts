import { objectKey } from '../catalog/catalog.ts';
import type { Manifest } from '../catalog/manifest.ts';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { readContents } from './list-archive.ts';
import { openDecryption, type DecryptionRequest } from './open-decryption.ts';
import { createStoredArchive } from './stored-archive.ts';
import { readStored, type BackupObject } from './stored-object.ts';
import type { StoredStreams } from './stored-streams.ts';
import type { UseCaseContext } from './use-case-context.ts';

/**
 * How much is proven, each level on top of the one before: every object is there with its size; its stored bytes are
 * the ones that were written; everything decrypts, decompresses and is a whole dump.
 */
export const verifyLevels = ['presence', 'digest', 'decrypt'] as const;
export type VerifyLevel = (typeof verifyLevels)[number];

export interface VerifyRequest {
  readonly store: ObjectStore;
  readonly manifest: Manifest;
  readonly level: VerifyLevel;
  /** Needed from level `decrypt`. */
  readonly keys: DecryptionRequest;
  readonly binDir?: string | undefined;
}

export interface VerifyReport {
  readonly id: string;
  readonly label: string;
  readonly level: VerifyLevel;
  readonly storedBytes: number;
  /** Entries in the dump's table of contents; `null` below level `decrypt` and for plain dumps. */
  readonly entries: number | null;
}

/** Proves a backup up to a level, by reading what the store has now. Errors: `integrity`, `key`, those of the store. */
export async function verifyBackup(request: VerifyRequest, context: UseCaseContext): Promise<VerifyReport> {
  const { manifest, level } = request;
  const objects = manifest.objects.map((object) => ({ ...request, object }));
  for (const object of objects) await checkPresence(object, context.signal);
  if (level === 'digest') for (const object of objects) await checkBytes(object, context.signal);
  const entries = level === 'decrypt' ? await checkContent(request, context) : null;
  const storedBytes = manifest.objects.reduce((sum, object) => sum + object.storedBytes, 0);
  return { id: manifest.id, label: manifest.label, level, storedBytes, entries };
}

async function checkBytes(object: BackupObject, signal: AbortSignal): Promise<void> {
  for await (const _ of readStored(object, signal));
}

async function checkContent(request: VerifyRequest, context: UseCaseContext): Promise<number | null> {
  using decryption = await openDecryption(request.manifest, request.keys, context);
  const archive = createStoredArchive({ ...request, decryption }, request.binDir, context);
  return await runPipeline({ signal: context.signal }, async (signal) => {
    if (archive.streams !== null) return await checkStreams(archive.streams, signal);
    const { format, body } = await archive.open(signal);
    if (format === 'plain') return await checkScript(body);
    const options = { binDir: request.binDir, readToEnd: true, context: { ...context, signal } };
    return countEntries(await readContents(body, archive, options));
  });
}

/** Every object is read to its end. */
async function checkStreams(streams: StoredStreams, signal: AbortSignal): Promise<number> {
  for await (const _ of streams.script(signal));
  const { tables } = await streams.contents(signal);
  return countEntries(await streams.listSchema(signal)) + tables.length;
}

/** Lines that start with `;` are about the archive. */
function countEntries(contents: string): number {
  return contents.split('\n').filter((line) => line !== '' && !line.startsWith(';')).length;
}

/** The dump's length is checked against the manifest, and its end was checked by `create`: reading it all is enough. */
async function checkScript(body: ByteStream): Promise<null> {
  for await (const _ of body);
  return null;
}

async function checkPresence({ store, manifest, object }: BackupObject, signal: AbortSignal): Promise<void> {
  const key = objectKey(manifest, object.name);
  const found = await store.head(key, { signal });
  if (found === null) throw damaged(`object "${key}" is missing from "${store.url}"`);
  if (found.sizeBytes !== object.storedBytes) {
    throw damaged(`object "${key}" has ${found.sizeBytes} bytes instead of ${object.storedBytes}`);
  }
}

function damaged(message: string): BackupError {
  return new BackupError('integrity', message, {
    hint: 'Make a new backup, and find out who or what changed this one.',
  });
}
