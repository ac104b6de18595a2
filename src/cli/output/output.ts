import { BackupError, describeError, errorKinds } from '../../core/backup-error.ts';

/** Where a command writes. Results go to `stdout`, everything else to `stderr`. */
export interface OutputStreams {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

/**
 * The one place that prints results and failures. With JSON, stdout gets exactly one document: the result, or the
 * failure where there is no result.
 */
export class Output {
  readonly streams: OutputStreams;
  #isJson = false;
  #hasResult = false;
  #sharer: string | null = null;
  #written: Promise<Error | null | undefined> = Promise.resolve(null);

  constructor(streams: OutputStreams) {
    this.streams = streams;
    // Looked at by whoever writes; nobody else may be ended by it.
    for (const stream of [streams.stdout, streams.stderr]) stream.on('error', () => {});
  }

  useJson(isJson: boolean): void {
    this.#isJson = isJson;
  }

  /** Prints a result: `document` as JSON, or `text` for people. Once per command. */
  result(document: unknown, text: string): void {
    this.#hasResult = true;
    const body = this.#isJson ? JSON.stringify(document, null, 2) : text;
    if (body === '') return;
    this.#written = new Promise((resolve) => void this.streams.stdout.write(`${body}\n`, resolve));
  }

  /**
   * Settles when stdout has taken the result. `… list | head -1` closes it before we are done, which is its right; any
   * other failure is `storage`.
   */
  async finish(): Promise<void> {
    const error = await this.#written;
    if (!error || ('code' in error && error.code === 'EPIPE')) return;
    throw new BackupError('storage', `cannot write to standard output: ${describeError(error)}`, { cause: error });
  }

  /** Bytes will be the result. Fails with `usage` when something else goes to stdout. */
  refuseSharing(): void {
    if (this.#sharer !== null) throw this.#cannotShare('the result');
  }

  /** Bytes are the result, from now on: nothing else may go to stdout. */
  reserveStdout(): void {
    this.#hasResult = true;
  }

  /** Lines of `what` go to stdout besides the result. Fails with `usage` where that has to be one document. */
  shareStdout(what: string): void {
    this.#sharer = what;
    if (this.#isJson) throw this.#cannotShare('JSON');
  }

  #cannotShare(result: string): BackupError {
    return new BackupError('usage', `standard output is taken by ${result} and cannot have ${this.#sharer} as well`, {
      hint: 'Send one of them elsewhere.',
    });
  }

  /** For people who are to decide something now. */
  notice(text: string): void {
    this.streams.stderr.write(`${text}\n`);
  }

  failure(error: BackupError): void {
    if (this.#isJson && !this.#hasResult) this.result({ error: toErrorDocument(error) }, '');
    this.streams.stderr.write(`librelog-backup: ${error.message}\n`);
    if (error.hint !== undefined) this.streams.stderr.write(`HINT: ${error.hint}\n`);
  }
}

/** A failure as JSON. */
export function toErrorDocument({ kind, message, hint }: BackupError): object {
  return { kind, message, hint: hint ?? null, exitCode: errorKinds[kind].exitCode };
}
