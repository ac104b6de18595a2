import { objectKey } from '../catalog/catalog.ts';
import { parseContents, type Contents } from '../catalog/contents.ts';
import type { ManifestObject, ObjectRole } from '../catalog/manifest.ts';
import { BackupError } from '../core/backup-error.ts';
import { collect, streamOf, type ByteStream, type Stage } from '../core/byte-stream.ts';
import { archiveToScript } from '../postgres/archive-script.ts';
import { findClientTool, type ClientTool } from '../postgres/client-tools.ts';
import { readDataPieces, tableInScript, toDataScript, type DataScriptPiece } from '../postgres/data-script.ts';
import { listArchive } from '../postgres/pg-restore.ts';
import { planPgRestore, type RestoreRequest } from '../postgres/restore-plan.ts';
import { withoutTransaction } from '../postgres/script-stages.ts';
import { nameDamage } from './name-damage.ts';
import { readPlain, type UnlockedBackup } from './stored-object.ts';
import { warnAll, type UseCaseContext } from './use-case-context.ts';

export interface StoredStreamsParts {
  readonly backup: UnlockedBackup;
  /** Major version of the client programs that made it. */
  readonly clientMajor: number;
  readonly binDir: string | undefined;
  readonly context: UseCaseContext;
}

/** What to make of a backup of several streams. */
export interface ScriptRequest {
  readonly options: RestoreRequest;
  /** Of the server that the script is for. */
  readonly serverMajor: number;
  /** To be run in one transaction: there is then no BEGIN and no COMMIT in it, as there are around large objects. */
  readonly isTransaction: boolean;
  /** Freeze rows as they are loaded, where an object has all rows of a table and is a transaction of its own. */
  readonly isFrozen?: boolean;
}

/** A script for nobody in particular: pg_restore's own. */
const plainScript: ScriptRequest = { options: {}, serverMajor: Number.POSITIVE_INFINITY, isTransaction: false };

interface ConvertOptions {
  readonly section: 'pre-data' | 'data' | 'post-data';
  readonly request: ScriptRequest;
  readonly entries?: readonly number[] | undefined;
  readonly signal: AbortSignal;
}

/** Definitions, as an archive or a script, have no rows, so they fit into memory. */
export const maxDefinitionsBytes = 1024 ** 3;
const maxContentsBytes = 64 * 1024 * 1024;

/** A backup of several streams: its parts as scripts, each checked byte for byte on the way. */
export class StoredStreams {
  readonly #parts: StoredStreamsParts;
  #schema: Promise<Buffer> | undefined;
  #contents: Promise<Contents> | undefined;

  constructor(parts: StoredStreamsParts) {
    this.#parts = parts;
  }

  /** Bytes that the client programs wrote, of all objects. */
  get plainBytes(): number {
    return this.#parts.backup.manifest.objects.reduce((sum, { plainBytes }) => sum + plainBytes, 0);
  }

  /** Objects with rows, the largest first. */
  get rowObjects(): readonly ManifestObject[] {
    const { objects } = this.#parts.backup.manifest;
    return objects
      .filter(({ role }) => role === 'data' || role === 'remainder')
      .toSorted((a, b) => b.plainBytes - a.plainBytes);
  }

  /** The custom archive of everything but rows. */
  async schema(signal: AbortSignal): Promise<Buffer> {
    this.#schema ??= collect(this.read(this.#only('schema'), signal), maxDefinitionsBytes);
    return await this.#schema;
  }

  /** Which table is where. Fails with `integrity` unless it names all `data` objects of the manifest, and no others. */
  async contents(signal: AbortSignal): Promise<Contents> {
    this.#contents ??= this.#readContents(signal);
    return await this.#contents;
  }

  async #readContents(signal: AbortSignal): Promise<Contents> {
    const object = this.#only('contents');
    const contents = parseContents(await collect(this.read(object, signal), maxContentsBytes), this.#keyOf(object));
    const named = new Set(contents.tables.flatMap(({ parts }) => parts.map(({ object: name }) => name)));
    const stored = new Set(this.rowObjects.flatMap(({ role, name }) => (role === 'data' ? [name] : [])));
    const [odd] = named.symmetricDifference(stored);
    if (odd === undefined) return contents;
    throw new BackupError('integrity', `object "${odd}" is not where the contents of the backup say`, {
      hint: 'Restore another backup, and find out who or what changed this one.',
    });
  }

  /** What was put into one object. */
  read(object: ManifestObject, signal: AbortSignal): ByteStream {
    const { backup, context } = this.#parts;
    return readPlain({ ...backup, object }, context, signal);
  }

  /** The pg_restore for its archives. */
  async #pgRestore(): Promise<ClientTool> {
    const { clientMajor, binDir, context } = this.#parts;
    return await findClientTool('pg_restore', { serverMajor: clientMajor, binDir, env: context.env });
  }

  /** The dump, or what is chosen of it, as one script; of a choice, only the objects that have something of it are read. */
  async *script(signal: AbortSignal, request: ScriptRequest = plainScript): ByteStream {
    const objects = await this.#chooseObjects(request.options, signal);
    yield* this.definitions('pre-data', request, signal);
    for (const object of objects) yield* this.rows(object, request, signal);
    yield* this.definitions('post-data', request, signal);
  }

  /** Definitions before or after the rows, as a script; of `entries`, ids in the archive of definitions, only those. */
  async *definitions(
    section: 'pre-data' | 'post-data',
    { entries, ...request }: ScriptRequest & { readonly entries?: readonly number[] },
    signal: AbortSignal,
  ): ByteStream {
    const archive = await this.schema(signal);
    yield* this.#convert(streamOf(archive), { section, request, entries, signal });
  }

  /** The rows of one object, or those that are chosen, as a script. */
  async *rows(object: ManifestObject, request: ScriptRequest, signal: AbortSignal): ByteStream {
    if (object.role === 'remainder') yield* this.remainder(object, request, signal);
    else yield* toDataScript(this.dataPieces(object, request, signal));
  }

  /** The rows of the remainder, or those that are chosen, as a script. */
  remainder(object: ManifestObject, request: ScriptRequest, signal: AbortSignal): ByteStream {
    return this.#convert(this.read(object, signal), { section: 'data', request, signal });
  }

  /** What is in one data script, or what is chosen of it; `watch` sees its bytes. */
  dataPieces(
    object: ManifestObject,
    { watch, ...request }: ScriptRequest & { readonly watch?: Stage },
    signal: AbortSignal,
  ): AsyncIterable<DataScriptPiece> {
    const script = this.read(object, signal);
    const pieces = this.#chosenPieces(
      object,
      { ...request, script: watch === undefined ? script : watch(script) },
      signal,
    );
    return nameDamage(`object "${this.#keyOf(object)}"`, pieces);
  }

  async *#chosenPieces(
    { name }: ManifestObject,
    { options, isFrozen, script }: ScriptRequest & { readonly script: ByteStream },
    signal: AbortSignal,
  ): AsyncIterable<DataScriptPiece> {
    const wanted = planPgRestore(options).isSelective ? await this.#chooseTables(options, signal) : null;
    const { tables } = await this.contents(signal);
    const whole = isFrozen === true ? tables.filter(({ parts }) => parts.length === 1) : [];
    yield* readDataPieces(script, {
      wanted: wanted && new Set(wanted.map(tableInScript)),
      frozen: new Set(whole.map(tableInScript)),
      rows: rowsIn(name, tables),
    });
  }

  async *#convert(archive: ByteStream, { section, request, entries, signal }: ConvertOptions): ByteStream {
    const { args } = planPgRestore(request.options);
    // Names must be right where all of them are; elsewhere there may be none of them.
    const names = section === 'pre-data' ? args : args.filter((argument) => argument !== '--strict-names');
    const transaction = request.isTransaction ? ['--single-transaction'] : [];
    const conversion = {
      tool: await this.#pgRestore(),
      args: [...names, `--section=${section}`, ...transaction],
      serverMajor: request.serverMajor,
      entries,
      signal,
    };
    const warnings: string[] = [];
    const script = archiveToScript(conversion, archive, warnings);
    yield* request.isTransaction ? withoutTransaction(script) : script;
    warnAll(this.#parts.context, warnings);
  }

  async #chooseTables({ schemas = [], tables = [] }: RestoreRequest, signal: AbortSignal): Promise<Contents['tables']> {
    const contents = await this.contents(signal);
    return contents.tables.filter(({ schema, name }) => {
      return (schemas.length === 0 || schemas.includes(schema)) && (tables.length === 0 || tables.includes(name));
    });
  }

  /** All objects with rows, unless a part of the dump is chosen: then those that may have something of it. */
  async #chooseObjects(options: RestoreRequest, signal: AbortSignal): Promise<readonly ManifestObject[]> {
    // Also where all are wanted: it vouches for their number.
    await this.contents(signal);
    if (!planPgRestore(options).isSelective) return this.rowObjects;
    const tables = await this.#chooseTables(options, signal);
    const names = new Set(tables.flatMap(({ parts }) => parts.map(({ object }) => object)));
    const needsRemainder = (await this.#countChosen(options, signal)) > tables.length;
    return this.rowObjects.filter(({ role, name }) => (role === 'remainder' ? needsRemainder : names.has(name)));
  }

  /** What `pg_restore --list` prints of everything but rows, or of the pg_restore arguments' choice of it. */
  async listSchema(signal: AbortSignal, args: readonly string[] = []): Promise<string> {
    return await listArchive({ tool: await this.#pgRestore(), args, signal }, streamOf(await this.schema(signal)));
  }

  /** Of everything chosen, what may have rows or a value. */
  async #countChosen(options: RestoreRequest, signal: AbortSignal): Promise<number> {
    if ((options.tables ?? []).length === 0) return Number.POSITIVE_INFINITY;
    const { args } = planPgRestore(options);
    const contents = await this.listSchema(signal, [...args, '--section=pre-data']);
    return [...contents.matchAll(/^\d+; \d+ \d+ (?:TABLE|FOREIGN TABLE|SEQUENCE) /gm)].length;
  }

  #only(role: ObjectRole): ManifestObject {
    const { manifest } = this.#parts.backup;
    const object = manifest.objects.find((candidate) => candidate.role === role);
    if (object === undefined) throw new BackupError('integrity', `backup "${manifest.id}" has no ${role}`);
    return object;
  }

  #keyOf(object: ManifestObject): string {
    return objectKey(this.#parts.backup.manifest, object.name);
  }
}

/** How many rows an object has of each table that has some there. */
function rowsIn(object: string, tables: Contents['tables']): Map<string, number | null> {
  return new Map(
    tables.flatMap((table) =>
      table.parts.flatMap((part) => (part.object === object ? [[tableInScript(table), part.rows] as const] : [])),
    ),
  );
}
