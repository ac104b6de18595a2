import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { testSecretSource } from './secret-source-contract.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-sources-'));
after(async () => await rm(folder, { recursive: true }));

const variables: Record<string, string> = {};

function putVariable(value: string): string {
  const name = `SECRET_${Object.keys(variables).length}`;
  variables[name] = value;
  return `env:${name}`;
}

async function putFile(value: string): Promise<string> {
  const path = join(folder, randomUUID());
  await writeFile(path, value, { mode: 0o600 });
  return path;
}

testSecretSource('environment', {
  env: () => variables,
  put: async (value) => await Promise.resolve(putVariable(value)),
  putFields: async (fields) => await Promise.resolve(putVariable(JSON.stringify(fields))),
  missing: 'env:NOT_SET',
});

testSecretSource('file', {
  env: () => ({}),
  put: async (value) => `file:${await putFile(value)}`,
  putFields: async (fields) => `file:${await putFile(JSON.stringify(fields))}`,
  missing: `file:${folder}/missing`,
});

testSecretSource('command', {
  env: () => ({ PATH: process.env['PATH'] }),
  put: async (value) => `exec:cat ${await putFile(value)}`,
  missing: `exec:cat ${folder}/missing`,
});
