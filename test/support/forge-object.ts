import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepareEncryption } from '../../src/backup/open-encryption.ts';
import type { Manifest, ManifestObject } from '../../src/catalog/manifest.ts';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import { quietContext } from './quiet-context.ts';
import type { Story } from './story.ts';

export interface Forgery {
  readonly story: Story;
  /** Of an uncompressed OpenPGP backup without a signature. */
  readonly backup: Manifest;
  readonly object: ManifestObject;
  /** All that somebody needs to write such an object: the recipient's certificate. */
  readonly certificate: string;
  readonly content: Uint8Array;
}

/** Puts something else in the place of an object, in the store and in the manifest, as whoever may write there could. */
export async function forgeObject({ story, backup, object, certificate, content }: Forgery): Promise<void> {
  const { id, label } = backup;
  const request = { method: 'openpgp', recipients: [certificate] } as const;
  using prepared = await prepareEncryption(request, { method: 'none' }, quietContext());
  using encryption = await prepared.begin({ backupId: id, label });
  const encrypt = encryption.encrypter.encrypt({ backupId: id, objectName: object.name });
  const bytes = await collect(encrypt(streamOf(content)), Number.POSITIVE_INFINITY);
  writeFileSync(join(story.storeFolder, label, id, object.name), bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const forged = { ...object, plainBytes: content.byteLength, storedBytes: bytes.byteLength, sha256 };
  const manifest = JSON.parse(readFileSync(story.manifestPath(backup), 'utf8')) as Manifest;
  const objects = manifest.objects.map((original) => (original.name === object.name ? forged : original));
  writeFileSync(story.manifestPath(backup), JSON.stringify({ ...manifest, objects }));
}
