import { objectKey } from '../catalog/catalog.ts';
import type { ManifestObject, ObjectRole } from '../catalog/manifest.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { compress } from '../pipeline/compress.ts';
import { Digest } from '../pipeline/digest.ts';
import { fanOut, type Branch } from '../pipeline/fan-out.ts';
import { Meter } from '../pipeline/meter.ts';
import { runPipeline } from '../pipeline/run-pipeline.ts';
import type { ObjectStore, StoredObject } from '../storage/object-store.ts';
import { putInto, type CreateRun } from './create-run.ts';
import { warnAll } from './use-case-context.ts';

/** Where the bytes of an object come from, as soon as they are wanted. Dispose ends whatever writes them. */
export interface ObjectSource extends AsyncDisposable {
  readonly output: ByteStream;
  readonly warnings: readonly string[];
}

export interface NewObject {
  readonly name: string;
  readonly role: ObjectRole;
  /** Who writes it, for messages. */
  readonly writer: string;
  /** Best guess of its size. */
  readonly expectedSizeBytes: number;
  start(signal: AbortSignal): ObjectSource;
}

/** An object, which is the same in every store, and what each store says of it. */
export interface StoredBackupObject {
  readonly key: string;
  readonly facts: Omit<ManifestObject, 'version' | 'serverEncryption' | 'lock'>;
  readonly receipts: ReadonlyMap<ObjectStore, StoredObject>;
}

/** Streams one object into every store: compressed, encrypted, measured. */
export async function storeObject(object: NewObject, run: CreateRun, signal: AbortSignal): Promise<StoredBackupObject> {
  const { request, context, plan, destinations } = run;
  const { name, role } = object;
  const key = objectKey(plan, name);
  const plain = new Meter();
  const stored = new Digest();
  const squeeze = compress(request.compression, Math.ceil(context.cores / plan.jobs));
  const encrypt = run.encryption.encrypter.encrypt({ backupId: plan.id, objectName: name });
  const stall = { meter: plain, timeoutMs: request.stallTimeoutMs, what: object.writer };
  const receipts = await runPipeline({ signal, stall }, async (signal) => {
    await using source = object.start(signal);
    const body = stored.measure(encrypt(squeeze(run.meter.count(plain.count(source.output)))));
    const branches = fanOut(body, destinations.live.length);
    const receipts = await destinations.forEach(signal, async (store, signal, index) => {
      // A store that fails before it reads must not hold up the others.
      await using branch = branches[index] as Branch;
      const { expectedSizeBytes } = object;
      const options = { createOnly: true, expectedSizeBytes, sharedBy: plan.jobs, signal };
      return await putInto(store, run, { put: async () => await store.put(key, branch, options), signal });
    });
    warnAll(context, source.warnings);
    return receipts;
  });
  const facts = { plainBytes: plain.bytes, storedBytes: stored.bytes, sha256: stored.sha256 };
  return { key, facts: { name, role, ...facts }, receipts };
}

export function toManifestObject({ facts, receipts }: StoredBackupObject, store: ObjectStore): ManifestObject {
  const { version, serverEncryption, lock } = receipts.get(store) ?? {};
  return {
    ...facts,
    ...(store.hasStableVersions && version !== undefined && { version }),
    ...(serverEncryption !== undefined && { serverEncryption }),
    ...(lock !== undefined && { lock }),
  };
}
