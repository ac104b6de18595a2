import { BackupError, describeError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { damagedMessage } from './openpgp-packets.ts';
import type { SessionKey } from './openpgp-session-key.ts';
import { WatchedInput } from './stall-watchdog.ts';

export interface LibraryStageOptions {
  readonly sessionKey: SessionKey;
  readonly name: string;
  /** How long openpgp.js may work without asking for input or giving output. */
  readonly stallTimeoutMs: number;
}

/**
 * What one encrypted data packet holds, by openpgp.js: any cipher, compression and signatures inside, old and new
 * packet versions. Signatures are not verified. The last chunk is released only when openpgp.js has found everything
 * in order. Fails with `integrity`, or with `key` when the passphrase was never proven and the very start makes no sense.
 *
 * The watchdog is there because openpgp.js 6.3 hangs for ever on some corrupted compressed messages.
 */
export async function* decryptByLibrary(packet: ByteStream, options: LibraryStageOptions): ByteStream {
  const input = new WatchedInput(packet);
  let isStarted = false;
  try {
    for await (const chunk of read(input, options)) {
      isStarted = true;
      yield chunk;
    }
  } catch (error) {
    if (input.failure !== null) throw input.failure.error;
    throw explain(error, isStarted, options);
  } finally {
    await input.close();
  }
}

async function* read(input: WatchedInput, options: LibraryStageOptions): ByteStream {
  const guard = async <T>(work: Promise<T>): Promise<T> =>
    await input.guard(work, options.stallTimeoutMs, () => damagedMessage(options.name, 'is damaged: decryption hangs'));
  const reader = (await guard(openData(input, options.sessionKey))).getReader();
  try {
    let held: Uint8Array | null = null;
    for (;;) {
      const { done, value } = await guard(reader.read());
      if (done) break;
      if (value.byteLength === 0) continue;
      if (held !== null) yield held;
      held = value;
    }
    if (held !== null) yield held;
  } finally {
    // Not awaited: a reader that hangs hangs here too.
    reader.cancel().catch(() => {});
  }
}

async function openData(input: WatchedInput, sessionKey: SessionKey): Promise<ReadableStream<Uint8Array>> {
  const { decrypt, readMessage } = await import('openpgp');
  const { data, algorithm } = sessionKey;
  // Without it, openpgp.js keeps the whole message in memory until the MDC was checked.
  const config = { allowUnauthenticatedStream: true };
  const message = await readMessage({ binaryMessage: input.stream, config });
  // A session key without an algorithm is what openpgp.js gives and takes for the packets that name their own.
  const sessionKeys = { data, algorithm } as { data: Uint8Array; algorithm: NonNullable<typeof algorithm> };
  const decrypted = await decrypt({ message, sessionKeys, format: 'binary', config });
  return decrypted.data;
}

function explain(error: unknown, isStarted: boolean, { name, sessionKey }: LibraryStageOptions): BackupError {
  if (!isStarted && !sessionKey.isProven) {
    return new BackupError('key', `wrong passphrase for OpenPGP message "${name}", or it is damaged`, { cause: error });
  }
  if (error instanceof BackupError) return error;
  return damagedMessage(name, `cannot be decrypted: ${describeLibraryError(error)}`, error);
}

/** openpgp.js's sentences as part of ours; what zlib throws has no text at all. */
function describeLibraryError(error: unknown): string {
  const text = describeError(error).replace(/^Error decrypting message: /, '');
  return text.replace(/\.$/, '') || 'its compressed data is damaged';
}
