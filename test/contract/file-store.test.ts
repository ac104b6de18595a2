import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { partialPath } from '../../src/storage/file-commit.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { testObjectStore } from './object-store-contract.ts';

const folder = await mkdtemp(join(tmpdir(), 'file-store-contract-'));
after(async () => await rm(folder, { recursive: true }));
let stores = 0;

testObjectStore('file', {
  open: async () => await openStore(`file://${folder}/store-${(stores += 1)}`, {}),
  openMissing: async () => await openStore(`file://${folder}/missing`, {}),
  abandonUpload: async (store, key) => {
    const path = join(store.url.slice('file://'.length), key);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(partialPath(path), 'half of it');
  },
  // Every name that is not an object's, and every folder that is there for no object.
  leftovers: async (store) => {
    const root = store.url.slice('file://'.length);
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const unwanted = entries.map(async (entry) => {
      if (entry.isFile()) return entry.name.endsWith('.partial') ? [entry.name] : [];
      const children = await readdir(join(entry.parentPath, entry.name));
      return children.length === 0 ? [`${entry.name}/`] : [];
    });
    return (await Promise.all(unwanted)).flat();
  },
});
