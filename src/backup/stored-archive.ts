import { objectKey } from '../catalog/catalog.ts';
import type { Manifest, ManifestObject } from '../catalog/manifest.ts';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { checkDigest } from '../pipeline/digest.ts';
import { decompress } from '../pipeline/decompress.ts';
import { holdLastChunk } from '../pipeline/hold-last-chunk.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { Archive } from './archive.ts';
import { nameDamage } from './name-damage.ts';
import type { BackupDecryption } from './open-decryption.ts';
import type { UseCaseContext } from './use-case-context.ts';

export interface StoredArchiveParts {
  readonly manifest: Manifest;
  readonly store: ObjectStore;
  readonly decryption: BackupDecryption;
}

/** The archive of a backup: checked against its manifest byte for byte on the way. */
export function createStoredArchive(parts: StoredArchiveParts, context: UseCaseContext): Archive {
  const { manifest } = parts;
  const object = archiveOf(manifest);
  return {
    name: objectKey(manifest, object.name),
    clientMajor: Number.parseInt(manifest.dump.clientVersion, 10),
    source: manifest.source,
    open: async (signal) => ({ format: manifest.dump.format, body: readArchive(parts, context, signal) }),
    checkStored: async (signal) => await drain(readStored({ ...parts, object }, signal)),
  };
}

export function archiveOf(manifest: Manifest): ManifestObject {
  const object = manifest.objects.find(({ role }) => role === 'archive');
  if (object === undefined) throw new BackupError('integrity', `backup "${manifest.id}" has no archive`);
  return object;
}

/** One object of a backup, and where it is. */
export interface BackupObject {
  readonly store: ObjectStore;
  readonly manifest: Manifest;
  readonly object: ManifestObject;
}

/** The stored bytes of one object, which fail with `integrity` unless they are the ones in the manifest. */
export function readStored({ store, manifest, object }: BackupObject, signal: AbortSignal): ByteStream {
  const key = objectKey(manifest, object.name);
  const check = checkDigest({ name: key, sizeBytes: object.storedBytes, sha256: object.sha256 });
  return check(store.get(key, { signal }));
}

function readArchive(
  { manifest, store, decryption }: StoredArchiveParts,
  context: UseCaseContext,
  signal: AbortSignal,
): ByteStream {
  const object = archiveOf(manifest);
  const decrypt = decryption.decrypter.decrypt({ backupId: manifest.id, objectName: object.name });
  const unpack = decompress(manifest.compression.method, context.cores);
  const plain = unpack(decrypt(readStored({ store, manifest, object }, signal)));
  const name = objectKey(manifest, object.name);
  return nameDamage(`object "${name}"`, holdLastChunk({ name, sizeBytes: object.plainBytes })(plain));
}

async function drain(stream: ByteStream): Promise<void> {
  for await (const _ of stream);
}
