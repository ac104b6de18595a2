import { randomUUID } from 'node:crypto';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreDeps, StoreSettings } from '../../src/storage/store-settings.ts';

export const bucket = 'librelog-test';

/** The server that these tests must have: they fail without it. Start it with `test/servers/fake-gcs.sh`. */
export function gcsEndpoint(): string {
  const endpoint = process.env['LIBRELOG_TEST_GCS_ENDPOINT'];
  if (endpoint) return endpoint;
  throw new Error('LIBRELOG_TEST_GCS_ENDPOINT is not set: start a server first (test/servers/fake-gcs.sh)');
}

export async function makeBucket(): Promise<void> {
  const body = JSON.stringify({ name: bucket });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${gcsEndpoint()}/storage/v1/b?project=test`, { method: 'POST', headers, body });
  if (!answer.ok && answer.status !== 409) throw new Error(`cannot make the bucket: HTTP ${answer.status}`);
}

/** A store under a prefix of its own; bodies of more than 8 MiB go in parts. */
export async function openTestStore(settings: StoreSettings = {}, deps: StoreDeps = {}): Promise<ObjectStore> {
  return await openStore(`gs://${bucket}/${randomUUID()}`, withServer(settings), deps);
}

export function withServer(settings: StoreSettings): StoreSettings {
  const uploadMemoryBytes = 32 * 1024 * 1024;
  return { uploadMemoryBytes, ...settings, gcs: { endpoint: gcsEndpoint(), ...settings.gcs } };
}
