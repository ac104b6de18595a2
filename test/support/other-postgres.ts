import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A PostgreSQL of another major than the installed one. */
export interface OtherPostgres extends Disposable {
  /** For `startCluster`: holds the server's programs only. */
  readonly binFolder: string;
}

/** A copy, for whoever the server runs as may not be able to go where it was unpacked. */
export function copyServer(major: number, extensionFolder?: string): OtherPostgres {
  const folder = mkdtempSync(join(tmpdir(), 'lb-other-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755); // the server may run as somebody else
  cpSync(join(unpackedFolder(), `server-${major}`), folder, { recursive: true, verbatimSymlinks: true });
  if (extensionFolder !== undefined) {
    cpSync(extensionFolder, join(folder, 'share', 'postgresql', 'extension'), { recursive: true });
  }
  return { binFolder: join(folder, 'bin'), [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Folder of unpacked client programs. */
export function clientsOf(major: number): string {
  return join(unpackedFolder(), `client-${major}`, 'bin');
}

/** What `test/servers/postgres.sh` unpacked; the tests that need it fail without it. */
function unpackedFolder(): string {
  const folder = process.env['LIBRELOG_TEST_POSTGRES'];
  if (!folder)
    throw new Error('LIBRELOG_TEST_POSTGRES is not set: unpack other majors first (test/servers/postgres.sh)');
  return folder;
}
