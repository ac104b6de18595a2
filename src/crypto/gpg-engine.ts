import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BackupError, describeError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import type { Secret } from '../core/secret.ts';
import type { Decrypter } from './cipher.ts';
import { gpgEnvironment, startGpg } from './gpg-process.ts';
import { findDecryptionFault } from './gpg-status.ts';
import { WatchedInput } from './stall-watchdog.ts';

export interface GpgDecrypterOptions {
  /** Where gpg and its home are found: PATH, HOME, GNUPGHOME and what an agent's dialogs need. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * Of the private key, or of messages encrypted with one; gpg's agent is asked for it otherwise. One line of text. Used
   * by every stage, so it must live as long as the decrypter.
   */
  readonly passphrase?: Secret | undefined;
  /** Ends gpg, which may be waiting for somebody to type a PIN. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Decrypts by the gpg that is installed, with its own keys, agent and smartcard: everything that gpg reads, several times
 * as fast as openpgp.js for compressed messages. Signatures inside are not verified. Plaintext comes out before it is
 * authenticated, except the last chunk: see {@link Decrypter}. Fails with `config` where there is no gpg that is new
 * enough, with `key` when gpg cannot get at a key or dies.
 */
export async function openGpgDecrypter(options: GpgDecrypterOptions): Promise<Decrypter> {
  checkPassphrase(options.passphrase);
  await checkVersion(options);
  return { decrypt: (identity) => (source) => decryptByGpg(source, identity.objectName, options) };
}

async function* decryptByGpg(source: ByteStream, name: string, options: GpgDecrypterOptions): ByteStream {
  options.signal?.throwIfAborted();
  const input = new WatchedInput(source);
  const gpg = startGpg(input, options);
  try {
    let held: Uint8Array | null = null;
    for await (const chunk of gpg.output) {
      if (held !== null) yield held;
      held = chunk;
    }
    const run = await gpg.finish();
    options.signal?.throwIfAborted();
    if (input.failure !== null) throw input.failure.error;
    const fault = findDecryptionFault(run, name);
    if (fault !== null) throw fault;
    if (held !== null) yield held;
  } finally {
    await gpg.kill();
    await input.close();
  }
}

/** gpg reads the first line of what it is given. */
function checkPassphrase(passphrase: Secret | undefined): void {
  if (passphrase === undefined || !passphrase.reveal().some((octet) => octet === 0x0a || octet === 0)) return;
  throw new BackupError('key', 'a passphrase for gpg must be one line', {
    hint: 'Leave out --engine gpg, or give a passphrase without a line break in it.',
  });
}

/** The first with `--no-symkey-cache`; older ones would leave a message's passphrase with the agent. */
const leastVersion = [2, 2, 7] as const;

async function checkVersion({ env }: GpgDecrypterOptions): Promise<void> {
  const hint = 'Install GnuPG 2.2.7 or newer, or leave out --engine gpg.';
  const { stdout } = await promisify(execFile)('gpg', ['--version'], { env: gpgEnvironment(env) }).catch(
    (error: unknown) => {
      throw new BackupError('config', `gpg cannot be run: ${describeError(error)}`, { hint, cause: error });
    },
  );
  const version = /^gpg \(GnuPG[^)]*\) ((\d+)\.(\d+)\.(\d+))/.exec(stdout);
  const [major, minor, patch] = leastVersion;
  const [, text = 'of an unknown version', ...numbers] = version ?? [];
  const [found = 0, foundMinor = 0, foundPatch = 0] = numbers.map(Number);
  const isOld = found !== major ? found < major : foundMinor !== minor ? foundMinor < minor : foundPatch < patch;
  if (isOld) throw new BackupError('config', `gpg ${text} is too old`, { hint });
}
