import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

/** The stock gpg of this machine with a key ring of its own, which nobody else sees and which goes when disposed. */
export interface Gpg extends AsyncDisposable {
  /** Runs gpg without any question asked; gives its stdout, throws with its stderr when it fails. */
  run(args: readonly string[], input?: Uint8Array | string): Promise<Buffer>;
  /** Makes a key without a passphrase, gives its fingerprint. `algorithm` as in `--quick-generate-key`. */
  generate(userId: string, options?: { algorithm?: string; usage?: string; expire?: string }): Promise<string>;
  fingerprints(): Promise<string[]>;
  /** Makes the agent forget what it was told. */
  forgetPassphrases(): Promise<void>;
  /** Its folder, GNUPGHOME. */
  readonly home: string;
}

export async function openGpg(): Promise<Gpg> {
  // Short: the agent's socket lies in it, and its path must stay below 108 bytes.
  const home = await mkdtemp(join(tmpdir(), 'gpg-'));
  const env = { GNUPGHOME: home, LC_ALL: 'C' };
  const run = async (args: readonly string[], input: Uint8Array | string = ''): Promise<Buffer> => {
    const always = ['--batch', '--yes', '--no-tty', '--trust-model', 'always', '--pinentry-mode', 'loopback'];
    const { stdout } = await execa('gpg', [...always, ...args], {
      env,
      input,
      encoding: 'buffer',
      stripFinalNewline: false,
    });
    return Buffer.from(stdout);
  };
  const fingerprints = async (): Promise<string[]> => {
    const listing = (await run(['--with-colons', '--list-keys'])).toString();
    return [...listing.matchAll(/^pub:(?:.*\n)fpr:{9}([0-9A-F]+):/gm)].map(([, fingerprint]) => fingerprint ?? '');
  };
  return {
    home,
    run,
    fingerprints,
    forgetPassphrases: async () => {
      await execa('gpgconf', ['--kill', 'gpg-agent'], { env });
    },
    generate: async (userId, { algorithm = 'default', usage = 'default', expire = 'never' } = {}) => {
      const before = await fingerprints();
      await run(['--passphrase', '', '--quick-generate-key', userId, algorithm, usage, expire]);
      return (await fingerprints()).find((fingerprint) => !before.includes(fingerprint)) ?? '';
    },
    [Symbol.asyncDispose]: async () => {
      await execa('gpgconf', ['--kill', 'all'], { env });
      await rm(home, { recursive: true, force: true });
    },
  };
}
