import { createHash } from 'node:crypto';
import { BackupError } from '../core/backup-error.ts';
import type { ByteStream, Stage } from '../core/byte-stream.ts';
import { holdLastBytes } from './hold-last-bytes.ts';

/** Size and SHA-256 of the bytes that passed, known once the stage has ended. */
export class Digest {
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #hex: string | undefined;

  get bytes(): number {
    return this.#bytes;
  }

  /** Lower-case hex. */
  get sha256(): string {
    this.#hex ??= this.#hash.digest('hex');
    return this.#hex;
  }

  readonly measure: Stage = (source) => this.#measure(source);

  async *#measure(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.#hash.update(chunk);
      this.#bytes += chunk.byteLength;
      yield chunk;
    }
  }
}

export interface ExpectedBytes {
  /** For the message. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/**
 * Passes the bytes on and fails with `integrity` unless they are exactly the expected ones. The last bytes are held back
 * until the digest has been checked, so a consumer that needs every byte cannot finish on wrong ones.
 */
export function checkDigest(expected: ExpectedBytes): Stage {
  return (source) => {
    const digest = new Digest();
    const hold = holdLastBytes(() => check(digest, expected));
    return hold(limited(source, digest, expected));
  };
}

async function* limited(source: ByteStream, digest: Digest, expected: ExpectedBytes): ByteStream {
  for await (const chunk of digest.measure(source)) {
    if (digest.bytes > expected.sizeBytes) throw differs(expected, `more than ${expected.sizeBytes} bytes`);
    yield chunk;
  }
}

function check(digest: Digest, expected: ExpectedBytes): void {
  if (digest.bytes !== expected.sizeBytes) {
    throw differs(expected, `${digest.bytes} bytes instead of ${expected.sizeBytes}`);
  }
  if (digest.sha256 !== expected.sha256) throw differs(expected, 'its SHA-256 is not the one in the manifest');
}

function differs(expected: ExpectedBytes, reason: string): BackupError {
  return new BackupError('integrity', `object "${expected.name}" is damaged: ${reason}`, {
    hint: 'Restore another backup, and find out who or what changed this one.',
  });
}
