import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientToolName } from '../../src/postgres/client-tools.ts';
import { makeFakeTools } from './fake-tools/fake-tool.ts';
import type { Cluster } from './postgres-cluster.ts';
import { waitUntil } from './wait-until.ts';

/** One call of a client program that waits for us. */
export interface Gate {
  /** Settles when the program has got there. */
  reached(): Promise<void>;
  open(): void;
}

export interface GateRules {
  readonly tool: ClientToolName;
  /** Holds the first call that has this among its arguments; the first call of all by default. */
  readonly argument?: string;
  /** Holds it `before` the real program starts, or `after` that has ended. */
  readonly hold: 'before' | 'after';
}

/** The real client programs in a folder of their own, calls of which can be held. Dispose removes the folder. */
export interface GatedTools extends Disposable {
  readonly folder: string;
  addGate(rules: GateRules): Gate;
  /** Runs `script`, in bash, before each call of a program: it may change `"$@"`. */
  addScript(tool: ClientToolName, script: string): void;
}

const tools = ['pg_dump', 'pg_restore', 'psql'] as const satisfies readonly ClientToolName[];

export async function makeGatedTools(cluster: Cluster): Promise<GatedTools> {
  const sql = `SELECT split_part(current_setting('server_version'), ' ', 1) AS version`;
  const [row] = await cluster.query<{ version: string }>('postgres', sql);
  const fakes = makeFakeTools();
  const add = (tool: ClientToolName, body: string): void => void fakes.add(tool, body, row?.version);
  const real = (tool: ClientToolName): string => `${join(cluster.binFolder, tool)} "$@"`;
  for (const tool of tools) add(tool, `exec ${real(tool)}`);
  return {
    folder: fakes.folder,
    addGate: ({ tool, argument = '', hold }) => {
      const gate = join(fakes.folder, `gate-of-${tool}`);
      // mkdir: one of several that run at once.
      const isHeld = `[[ "$*" == *${JSON.stringify(argument)}* ]] && mkdir ${gate} 2>/dev/null`;
      const wait = `touch ${gate}/reached; while [ ! -e ${gate}/open ]; do sleep 0.02; done`;
      const held = hold === 'before' ? `${wait}; exec ${real(tool)}` : `${real(tool)}; code=$?; ${wait}; exit $code`;
      add(tool, `if ${isHeld}; then ${held}; fi; exec ${real(tool)}`);
      return {
        reached: async () => await waitUntil(() => existsSync(join(gate, 'reached')), `${tool} is at its gate`),
        open: () => writeFileSync(join(gate, 'open'), ''),
      };
    },
    addScript: (tool, script) => add(tool, `${script}\nexec ${real(tool)}`),
    [Symbol.dispose]: () => fakes[Symbol.dispose](),
  };
}
