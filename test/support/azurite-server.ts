import { randomUUID } from 'node:crypto';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import type { StoreDeps, StoreSettings } from '../../src/storage/store-settings.ts';
import { listAll } from './test-bytes.ts';

export const container = 'librelog-test';

/** The real server that these tests must have: they fail without it. Start one with `test/servers/azurite.sh`. */
export function azuriteServer(): { readonly endpoint: string; readonly account: string; readonly key: string } {
  const [endpoint, account, key] = ['ENDPOINT', 'ACCOUNT', 'KEY'].map((name) => {
    const value = process.env[`LIBRELOG_TEST_AZURE_${name}`];
    if (value) return value;
    throw new Error(`LIBRELOG_TEST_AZURE_${name} is not set: start a server first (test/servers/azurite.sh)`);
  });
  return { endpoint: endpoint ?? '', account: account ?? '', key: key ?? '' };
}

export function sharedKey(): StorageSharedKeyCredential {
  const { account, key } = azuriteServer();
  return new StorageSharedKeyCredential(account, key);
}

/** A client that talks to the server directly, to prepare it and to look behind the store. */
export function directClient(): BlobServiceClient {
  return new BlobServiceClient(azuriteServer().endpoint, sharedKey());
}

export async function makeContainer(): Promise<void> {
  await directClient().getContainerClient(container).createIfNotExists();
}

/** The credentials of the account, and nothing else of the environment. */
export function withKey(deps: StoreDeps = {}): StoreDeps {
  return { ...deps, env: { AZURE_STORAGE_KEY: azuriteServer().key, ...deps.env } };
}

export function withServer(settings: StoreSettings): StoreSettings {
  return { ...settings, azure: { endpoint: azuriteServer().endpoint, ...settings.azure } };
}

/** A store under a prefix of its own. */
export async function openTestStore(settings: StoreSettings = {}, deps: StoreDeps = {}): Promise<ObjectStore> {
  const address = `az://${azuriteServer().account}/${container}/${randomUUID()}`;
  return await openStore(address, withServer(settings), withKey(deps));
}

/** The part of a store's address that is the prefix in the container. */
export function prefixOf(store: ObjectStore): string {
  return store.url.split('/').slice(4).join('/');
}

/** Names below a store's prefix of blobs that are no objects of the store, as the service itself lists them. */
export async function foreignBlobs(store: ObjectStore): Promise<string[]> {
  const listed = (await listAll(store.list(''))).map(({ key }) => `${prefixOf(store)}/${key}`);
  return (await blobNames(store, false)).filter((name) => !listed.includes(name));
}

/** Names below a store's prefix of blobs that have blocks but were never committed. */
export async function uncommittedBlobs(store: ObjectStore): Promise<string[]> {
  const committed = await blobNames(store, false);
  return (await blobNames(store, true)).filter((name) => !committed.includes(name));
}

async function blobNames(store: ObjectStore, includeUncommitedBlobs: boolean): Promise<string[]> {
  const blobs = directClient().getContainerClient(container);
  const prefix = `${prefixOf(store)}/`;
  return (await listAll(blobs.listBlobsFlat({ prefix, includeUncommitedBlobs }))).map(({ name }) => name);
}
