import { createHash } from 'node:crypto';
import { prepareEncryption, type EncryptionRequest } from '../../src/backup/open-encryption.ts';
import type { UseCaseContext } from '../../src/backup/use-case-context.ts';
import { Catalog, objectKey } from '../../src/catalog/catalog.ts';
import type { Manifest } from '../../src/catalog/manifest.ts';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { sampleManifest } from './sample-manifest.ts';

export interface SmallBackup {
  readonly store: ObjectStore;
  readonly id: string;
  readonly label?: string;
  readonly encryption: EncryptionRequest;
  /** What the object holds. */
  readonly content?: Uint8Array;
}

/** Makes a backup as `create` does, but of a few bytes and without a database. */
export async function makeSmallBackup(backup: SmallBackup, context: UseCaseContext): Promise<Manifest> {
  const { store, id, label = 'shop', content = Buffer.from('PGDMP, for example') } = backup;
  using prepared = await prepareEncryption(backup.encryption, { method: 'none' }, context);
  using encryption = await prepared.begin({ backupId: id, label });
  const name = `archive.dump.${prepared.extension}`;
  const encrypt = encryption.encrypter.encrypt({ backupId: id, objectName: name });
  const bytes = await collect(encrypt(streamOf(content)), Number.POSITIVE_INFINITY);
  await store.put(objectKey({ label, id }, name), streamOf(bytes), { createOnly: true });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const sizes = { plainBytes: content.byteLength, storedBytes: bytes.byteLength };
  const { seal: _, ...facts } = sampleManifest({
    id,
    label,
    compression: { method: 'none' },
    encryption: encryption.encrypter.description,
    objects: [{ name, role: 'archive', ...sizes, sha256 }],
  });
  const manifest = { ...facts, seal: await encryption.seal(facts) };
  await new Catalog(store).commit(manifest);
  return manifest;
}

/** `20260101T000000Z-000007` for 7: ids in the order of their numbers. */
export function idOf(number: number): string {
  return `20260101T000000Z-${number.toString(16).padStart(6, '0')}`;
}
