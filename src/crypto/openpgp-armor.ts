import type { ByteStream } from '../core/byte-stream.ts';
import { damagedMessage, truncated } from './openpgp-packets.ts';

const begin = '-----BEGIN PGP MESSAGE-----';
const end = '-----END PGP MESSAGE-----';
/** No line of an armored message is longer; a "line" that is means that this is not one. */
const maxLineBytes = 64 * 1024;

/** Whether `firstBytes` begin an armored OpenPGP message. */
export function isArmoredMessage(firstBytes: Uint8Array): boolean {
  return Buffer.from(firstBytes).toString('latin1').startsWith(begin);
}

/**
 * The bytes in an ASCII-armored message (RFC 4880 6.2). The checksum line is not looked at: the message inside proves
 * itself. Fails with `integrity` when the end line is missing or something follows it.
 */
export async function* dearmor(source: ByteStream, name: string): ByteStream {
  const decoder = new ArmorDecoder(name);
  for await (const lines of inLines(source, name)) {
    const bytes = decoder.decode(lines);
    if (bytes.byteLength > 0) yield bytes;
  }
  decoder.finish();
}

/** Lines without their ends, as many at a time as a chunk completes; what follows the last line end is a line too. */
async function* inLines(source: ByteStream, name: string): AsyncGenerator<string[]> {
  let unfinished = '';
  for await (const chunk of source) {
    const lines = (unfinished + Buffer.from(chunk).toString('latin1')).split('\n');
    unfinished = lines.pop() ?? '';
    if (unfinished.length > maxLineBytes) throw damagedMessage(name, 'is damaged: its armor has no line ends');
    yield lines.map((line) => line.trimEnd());
  }
  yield [unfinished.trimEnd()];
}

type ArmorPart = 'before' | 'headers' | 'data' | 'checksum' | 'after';

class ArmorDecoder {
  readonly #name: string;
  #part: ArmorPart = 'before';
  /** Base64 digits that do not fill a group of four yet. */
  #pending = '';

  constructor(name: string) {
    this.#name = name;
  }

  decode(lines: readonly string[]): Buffer {
    const digits: string[] = [this.#pending];
    for (const line of lines) {
      if (this.#part === 'data' && !line.startsWith('=') && line !== end) digits.push(line);
      else this.#part = this.#next(line);
    }
    const text = digits.join('');
    const whole = this.#part === 'data' ? text.length - (text.length % 4) : text.length;
    this.#pending = text.slice(whole);
    return Buffer.from(text.slice(0, whole), 'base64');
  }

  finish(): void {
    if (this.#part !== 'after') throw truncated(this.#name);
  }

  /** The part of the armor that begins after `line`, which is none of the data. */
  #next(line: string): ArmorPart {
    if (this.#part === 'before' && line === begin) return 'headers';
    if (this.#part === 'headers') return line === '' ? 'data' : 'headers';
    if (line === end && (this.#part === 'data' || this.#part === 'checksum')) return 'after';
    if (this.#part === 'data') return 'checksum';
    if (line === '') return this.#part;
    throw damagedMessage(this.#name, this.#part === 'after' ? 'is followed by other data' : 'has a damaged armor');
  }
}
