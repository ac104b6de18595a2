// The main job on real data, for somebody who sees the tool for the first time: `npm run demo`.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod/v3';
import { manifestSchema, type Manifest } from '../../src/catalog/manifest.ts';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase, type DatabaseFingerprint } from '../support/database-fingerprint.ts';
import { createSampleDatabase } from '../support/sample-database.ts';
import { DemoStage, isInstalled } from './demo-stage.ts';
import { Narrator } from './narrator.ts';

const narrator = new Narrator();
const sample = 'sample';

const keysOf = {
  aes: ['--key', 'file:aes.key'],
  openpgp: ['--private-key', 'file:demo.key.asc'],
} as const;

process.exitCode = 1;
try {
  narrator.title('librelog-backup', 'A real database, encrypted two ways, brought back, and compared row by row.');
  await playDemo();
  narrator.end('Everything came back identical. The server, the backups and the keys are gone again.');
  process.exitCode = 0;
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
}

async function playDemo(): Promise<void> {
  await using stage = await DemoStage.open(narrator);
  const original = await makeSample(stage);
  await makeKeys(stage);
  await createBackups(stage);
  const backups = await listBackups(stage);
  await verifyBackups(stage, backups);
  await restoreBackups(stage, backups, original);
  await restoreWithoutUs(stage, backups.openpgp, original);
}

async function makeSample(stage: DemoStage): Promise<DatabaseFingerprint> {
  narrator.step('A throw-away PostgreSQL with a sample database');
  await createSampleDatabase(stage.cluster, sample);
  const fingerprint = await fingerprintDatabase(stage.cluster, sample);
  narrator.text(describe(fingerprint));
  narrator.text('With partitions, circular keys, odd names, NaN, infinity, generated columns, triggers, row-level');
  narrator.text('security, materialized views, privileges, extensions: what a careless backup loses.');
  narrator.text('Its password is in PGPASSWORD, as for pg_dump; it never shows up on a command line.');
  return fingerprint;
}

async function makeKeys(stage: DemoStage): Promise<void> {
  narrator.step('Keys: one for AES-256, a pair for OpenPGP');
  await stage.run('keys', 'generate', 'aes-256', '--output', 'aes.key');
  await stage.run('keys', 'generate', 'openpgp', '--name', 'Demo', '--email', 'demo@example.com', '--output', 'demo');
}

async function createBackups(stage: DemoStage): Promise<void> {
  narrator.step('Two encrypted backups');
  narrator.command(`export LIBRELOG_BACKUP_STORE=${stage.storeUrl}`);
  await stage.run('create', '--database', stage.url(sample), '--encrypt', 'aes-256', '--key', 'file:aes.key');
  const recipient = ['--recipient', 'file:demo.pub.asc'];
  await stage.run('create', '--database', stage.url(sample), '--encrypt', 'openpgp', ...recipient);
}

interface Backups {
  readonly aes: Manifest;
  readonly openpgp: Manifest;
}

async function listBackups(stage: DemoStage): Promise<Backups> {
  narrator.step('What the store holds');
  await stage.run('list');
  const { backups } = z.object({ backups: z.array(manifestSchema) }).parse(await stage.ask('list'));
  const openpgp = backups.find(({ encryption }) => encryption.method === 'openpgp');
  const aes = backups.find(({ encryption }) => encryption.method !== 'openpgp');
  if (aes === undefined || openpgp === undefined) throw new Error('a backup is missing from the list');
  return { aes, openpgp };
}

async function verifyBackups(stage: DemoStage, { aes, openpgp }: Backups): Promise<void> {
  narrator.step('Verified: every byte read, decrypted and checked');
  await stage.run('verify', aes.id, '--level', 'decrypt', ...keysOf.aes);
  await stage.run('verify', openpgp.id, '--level', 'decrypt', ...keysOf.openpgp);
}

async function restoreBackups(stage: DemoStage, backups: Backups, original: DatabaseFingerprint): Promise<void> {
  narrator.step('Both restored into new databases, and compared with the original');
  for (const method of ['aes', 'openpgp'] as const) {
    const target = `from_${method}`;
    await stage.run('restore', backups[method].id, ...keysOf[method], '--target', stage.url(target), '--create-db');
    await proveSame(stage, target, original);
  }
}

/** No backup may depend on this program to be read. */
async function restoreWithoutUs(stage: DemoStage, backup: Manifest, original: DatabaseFingerprint): Promise<void> {
  narrator.step('The OpenPGP backup opened without us, by stock tools');
  const missing = ['gpg', 'zstd'].filter((tool) => !isInstalled(tool));
  if (missing.length > 0) {
    narrator.text(`Left out: ${missing.join(' and ')} not installed on this machine.`);
    return;
  }
  const target = 'by_hand';
  const object = join('store', backup.label, backup.id, backup.objects[0]?.name ?? '');
  mkdirSync(join(stage.folder, 'gnupg'), { mode: 0o700 });
  await stage.cluster.createDatabase(target);
  await stage.shell('gpg --quiet --batch --import demo.key.asc');
  await stage.shell(
    `gpg --quiet --batch --decrypt ${object} | zstd -d | pg_restore --single-transaction -d ${stage.url(target)}`,
  );
  await proveSame(stage, target, original);
}

async function proveSame(stage: DemoStage, database: string, original: DatabaseFingerprint): Promise<void> {
  const restored = await fingerprintDatabase(stage.cluster, database);
  assertSameDatabase(restored, original);
  narrator.proof(`${database} is identical: ${describe(restored)}`);
}

function describe({ rows, sequences, largeObjects, schema }: DatabaseFingerprint): string {
  const counts = [
    `${rows.size} tables`,
    `${countRows(rows)} rows`,
    `${sequences.size} sequences`,
    `${largeObjects.size} large objects`,
    `${schema.length} parts of schema`,
  ];
  return counts.join(', ');
}

function countRows(rows: DatabaseFingerprint['rows']): string {
  const counts = rows.values().map((row) => row.count);
  return counts.reduce((sum, count) => sum + count, 0).toLocaleString('en');
}
