import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { testKeyAdmin } from './key-admin-contract.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-key-admin-'));
after(async () => await rm(folder, { recursive: true }));

testKeyAdmin('file', {
  env: () => ({}),
  newReference: async () => await Promise.resolve(`file:${join(folder, randomUUID())}`),
  destroys: 'a version',
  hasVersions: true,
  remembersDates: true,
});
