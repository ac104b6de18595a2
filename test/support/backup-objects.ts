import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { openForeignArchive } from '../../src/backup/foreign-archive.ts';
import { restoreToFile } from '../../src/backup/restore-to-file.ts';
import type { DecryptionRequest } from '../../src/backup/open-decryption.ts';
import { parseContents, type Contents } from '../../src/catalog/contents.ts';
import type { Manifest, ObjectRole } from '../../src/catalog/manifest.ts';
import { tableInScript } from '../../src/postgres/data-script.ts';
import type { Cluster } from './postgres-cluster.ts';
import { quietContext } from './quiet-context.ts';
import type { Story } from './story.ts';

const run = promisify(execFile);

/** The decrypted objects of one backup of several streams, in files. */
export interface BackupObjects {
  readonly contents: Contents;
  readonly schema: string;
  readonly remainder: string;
  /** Scripts of rows, by the names of their objects. */
  readonly data: ReadonlyMap<string, string>;
}

/** Decrypts each object on its own, as `decrypt` does. */
export async function openBackupObjects(
  story: Story,
  manifest: Manifest,
  storeFolder = story.storeFolder,
): Promise<BackupObjects> {
  const folder = join(story.folder, `objects-of-${manifest.id}`);
  mkdirSync(folder);
  const keys: DecryptionRequest = { keys: [`file:${join(story.folder, 'aes.key')}`] };
  const context = quietContext();
  for (const { name } of manifest.objects) {
    const archive = await openForeignArchive(join(storeFolder, manifest.label, manifest.id, name), keys, context);
    await restoreToFile(archive, join(folder, name), context);
  }
  const filesOf = (role: ObjectRole): string[] =>
    manifest.objects.filter((object) => object.role === role).map(({ name }) => join(folder, name));
  const [schema = '', remainder = '', contents = ''] = (['schema', 'remainder', 'contents'] as const).flatMap(filesOf);
  return {
    contents: parseContents(readFileSync(contents), contents),
    schema,
    remainder,
    data: new Map(filesOf('data').map((path) => [path.slice(dirname(path).length + 1), path])),
  };
}

/** Restores the objects with stock psql and pg_restore into a new database, in the order in which they belong. */
export async function restoreByHand(cluster: Cluster, objects: BackupObjects, database: string): Promise<void> {
  const env = { PATH: process.env['PATH'], ...cluster.env(database) };
  const restore = async (section: string, archive: string) => {
    const args = ['--exit-on-error', '--single-transaction', `--section=${section}`, `--dbname=${database}`, archive];
    await run(join(cluster.binFolder, 'pg_restore'), args, { env });
  };
  await restore('pre-data', objects.schema);
  for (const script of objects.data.values()) {
    const args = ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--output=/dev/null', `--file=${script}`];
    await run(join(cluster.binFolder, 'psql'), args, { env });
  }
  await restore('data', objects.remainder);
  await restore('post-data', objects.schema);
}

/** Fails unless the contents say of each table and object how many rows there are, by the lines of the scripts. */
export function assertCounted(objects: BackupObjects): void {
  const counted = new Set(
    [...countScriptRows(objects)].flatMap(([table, counts]) =>
      [...counts].map(([name, rows]) => `${table} ${name} ${rows}`),
    ),
  );
  const said = objects.contents.tables.flatMap((table) =>
    table.parts.map(({ object, rows }) => `${tableInScript(table)} ${object} ${rows}`),
  );
  assert.equal(new Set(said).size, said.length, 'a part is named twice');
  assert.deepEqual(new Set(said), counted);
}

/** Rows of each table, as the scripts name it, in each script. */
function countScriptRows({ data }: BackupObjects): Map<string, Map<string, number>> {
  const counts = new Map<string, Map<string, number>>();
  for (const [name, path] of data) {
    let table: Map<string, number> | null = null;
    for (const line of readFileSync(path, 'latin1').split('\n')) {
      const [, copied] = /^COPY (.*?) \(.*\) FROM stdin;$/.exec(line) ?? [];
      if (table === null && copied !== undefined) {
        table = counts.get(copied) ?? new Map<string, number>();
        counts.set(copied, table.set(name, 0));
      } else if (table !== null && line === '\\.') table = null;
      else if (table !== null) table.set(name, (table.get(name) ?? 0) + 1);
    }
  }
  return counts;
}
