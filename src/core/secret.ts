import { timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';

/**
 * Bytes that must never be printed: a key, a passphrase, a password, a private key. `toString`, `toJSON` and
 * `util.inspect` give `[secret]`; only `reveal*()` gives the value, so every use can be found by searching for it.
 * The secret owns its bytes: whoever creates one hands them over, and `dispose` overwrites them.
 */
export class Secret implements Disposable {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  static fromText(text: string): Secret {
    return new Secret(Buffer.from(text, 'utf8'));
  }

  get sizeBytes(): number {
    return this.#bytes.byteLength;
  }

  /** The bytes themselves, not a copy: do not keep or change them. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  revealText(): string {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength).toString('utf8');
  }

  /** Whether both hold the same bytes. */
  equals(other: Secret): boolean {
    return this.sizeBytes === other.sizeBytes && timingSafeEqual(this.#bytes, other.#bytes);
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }

  [Symbol.dispose](): void {
    this.#bytes.fill(0);
  }
}
