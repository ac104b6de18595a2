import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';

/** Enough for any error message; a child that complains about each of a million rows must not fill our memory. */
const maxKeptChars = 16 * 1024;
const maxWarnings = 50;

/** Reads a client program's stderr to its end and keeps the last part of it, with secrets taken out. */
export class ClientStderr {
  /** Settles when the stream has ended, whatever ended it. */
  readonly ended: Promise<void>;
  readonly #stream: Readable;
  readonly #secrets: readonly string[];
  readonly #warnings: string[] = [];
  #unfinished = '';
  #kept: string[] = [];
  #keptChars = 0;

  constructor(stream: Readable, secrets: readonly string[]) {
    this.#stream = stream;
    // Of a very short secret nothing would be left to read, and nothing is given away.
    this.#secrets = secrets.filter((secret) => secret.length >= 4);
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => this.#add(text));
    this.ended = finished(stream).catch(() => {});
  }

  /** The last lines, without empty ones. */
  get lines(): readonly string[] {
    return this.#unfinished === '' ? this.#kept : [...this.#kept, this.#redact(this.#unfinished)];
  }

  /** Lines that the program marked as warnings. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Stops reading. A process that the program left behind may hold the stream open, and us with it. */
  close(): void {
    this.#stream.destroy();
  }

  #add(text: string): void {
    const lines = (this.#unfinished + text).split('\n');
    this.#unfinished = lines.pop()?.slice(-maxKeptChars) ?? '';
    for (const line of lines) this.#keep(this.#redact(line.slice(0, maxKeptChars)).trimEnd());
  }

  #keep(line: string): void {
    if (line === '') return;
    if (/\bwarning:/i.test(line) && this.#warnings.length < maxWarnings) this.#warnings.push(line);
    this.#kept.push(line);
    this.#keptChars += line.length;
    while (this.#keptChars > maxKeptChars && this.#kept.length > 1) this.#keptChars -= this.#kept.shift()?.length ?? 0;
  }

  #redact(line: string): string {
    return this.#secrets.reduce((text, secret) => text.replaceAll(secret, '[secret]'), line);
  }
}
