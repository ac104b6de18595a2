import { objectKey } from '../catalog/catalog.ts';
import type { Manifest, ManifestObject } from '../catalog/manifest.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { decompress } from '../pipeline/decompress.ts';
import { checkDigest } from '../pipeline/digest.ts';
import { checkSize } from '../pipeline/hold-last-bytes.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { nameDamage } from './name-damage.ts';
import type { BackupDecryption } from './open-decryption.ts';
import type { UseCaseContext } from './use-case-context.ts';

/** A backup that is unlocked, and where it is. */
export interface UnlockedBackup {
  readonly manifest: Manifest;
  readonly store: ObjectStore;
  readonly decryption: BackupDecryption;
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

/** What was put into one object, checked against the manifest byte for byte on the way; the last chunk comes only then. */
export function readPlain(
  { manifest, store, decryption, object }: UnlockedBackup & BackupObject,
  context: UseCaseContext,
  signal: AbortSignal,
): ByteStream {
  const decrypt = decryption.decrypter.decrypt({ backupId: manifest.id, objectName: object.name });
  const unpack = decompress(manifest.compression.method, context.cores);
  const plain = unpack(decrypt(readStored({ store, manifest, object }, signal)));
  const name = objectKey(manifest, object.name);
  return nameDamage(`object "${name}"`, checkSize({ name, sizeBytes: object.plainBytes })(plain));
}

/** Reads the stored bytes of objects once and checks their digests. */
export async function checkStored(
  { manifest, store }: Pick<UnlockedBackup, 'manifest' | 'store'>,
  signal: AbortSignal,
): Promise<void> {
  for (const object of manifest.objects) {
    for await (const _ of readStored({ manifest, store, object }, signal));
  }
}
