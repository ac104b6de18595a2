import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClientTool, ClientToolName } from '../../../src/postgres/client-tools.ts';

/** A folder of stand-ins for PostgreSQL's client programs, to be put into PATH or used one by one. Dispose removes it. */
export interface FakeTools extends Disposable {
  readonly folder: string;
  /**
   * Writes a stand-in that prints `version` when asked for it and otherwise runs `body`, a bash script. Client programs
   * get a small environment, so what the script is to do has to be in the script.
   */
  add(name: ClientToolName, body: string, version?: string): ClientTool;
}

export function makeFakeTools(): FakeTools {
  const folder = mkdtempSync(join(tmpdir(), 'lb-fake-tools-'));
  return {
    folder,
    add: (name, body, version = '15.18') => writeFakeTool(join(folder, name), name, { body, version }),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function writeFakeTool(path: string, name: ClientToolName, fake: { body: string; version: string }): ClientTool {
  mkdirSync(join(path, '..'), { recursive: true });
  const version = `if [ "$1" = --version ]; then echo '${name} (PostgreSQL) ${fake.version}'; exit 0; fi`;
  writeFileSync(path, `#!/bin/bash\n${version}\n${fake.body}\n`);
  chmodSync(path, 0o755);
  return { name, path, version: fake.version, major: Number.parseInt(fake.version, 10) };
}

const noise = (bytes: number) => `head -c ${bytes} /dev/urandom`;

/** Bodies of a pg_dump (custom format) that behaves in one of the ways that were taken for success somewhere. */
export const fakePgDump = {
  whole: `printf PGDMP; ${noise(300_000)}`,
  diesHalfWay: `printf PGDMP; ${noise(300_000)}; echo 'pg_dump: error: query failed: lost' >&2; exit 1`,
  killedHalfWay: `printf PGDMP; ${noise(300_000)}; kill -KILL $$`,
  silent: 'exit 0',
  writesOtherThings: "echo 'Usage: nothing'",
  failsAfterAll: `printf PGDMP; ${noise(300_000)}; exit 3`,
  warns: `echo 'pg_dump: warning: there are circular foreign-key constraints' >&2; printf PGDMP; ${noise(1000)}`,
  hangs: `printf PGDMP; ${noise(1000)}; exec sleep 600`,
  ignoresSigterm: `trap '' TERM; printf PGDMP; ${noise(1000)}; while :; do sleep 0.1; done`,
} as const;
