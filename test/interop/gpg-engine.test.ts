import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type ByteStream, collect, streamOf } from '../../src/core/byte-stream.ts';
import { Secret } from '../../src/core/secret.ts';
import { readCertificates } from '../../src/crypto/openpgp-certificates.ts';
import { openOpenPgpEncrypter } from '../../src/crypto/openpgp-encrypter.ts';
import { type GpgDecrypterOptions, openGpgDecrypter } from '../../src/crypto/gpg-engine.ts';
import { type Gpg, openGpg } from '../support/gpg.ts';

const maxBytes = 64 * 1024 * 1024;
const identity = { backupId: '20261123T231405Z-7f3a9c', objectName: 'archive.dump.zst.pgp' };
const noise = randomBytes(3_000_000);
const lock = 'lock of the key';

let gpg: Gpg;
let stranger: Gpg;
let folder: string;
before(async () => {
  gpg = await openGpg();
  stranger = await openGpg();
  folder = await mkdtemp(join(tmpdir(), 'gpg-engine-'));
  await gpg.generate('curve <curve@example.com>', { algorithm: 'future-default' });
  await gpg.generate('rsa <rsa@example.com>');
  await gpg.run(['--passphrase', lock, '--quick-generate-key', 'locked <locked@example.com>']);
});
after(async () => {
  await gpg[Symbol.asyncDispose]();
  await stranger[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

type Environment = GpgDecrypterOptions['env'];

const environment = (of = gpg): Environment => ({ ...process.env, GNUPGHOME: of.home });

async function decrypt(message: Uint8Array | ByteStream, options: Partial<GpgDecrypterOptions> = {}): Promise<Buffer> {
  const decrypter = await openGpgDecrypter({ env: environment(), ...options });
  const source = message instanceof Uint8Array ? streamOf(message) : message;
  return await collect(decrypter.decrypt(identity)(source), maxBytes);
}

/** Fails as `decrypt` does; gives what came out before. */
async function decryptPartly(message: Uint8Array): Promise<{ given: number; error: unknown }> {
  const decrypter = await openGpgDecrypter({ env: environment() });
  let given = 0;
  try {
    for await (const chunk of decrypter.decrypt(identity)(streamOf(message))) given += chunk.byteLength;
  } catch (error) {
    return { given, error };
  }
  return { given, error: null };
}

async function encrypt(data: Uint8Array, ...args: string[]): Promise<Buffer> {
  return await gpg.run(['--encrypt', '--recipient', 'rsa@example.com', ...args], data);
}

/** The environment in which `gpg` is a script; `$GPG` in it is the real one. */
async function withScript(script: string): Promise<Environment> {
  const bin = await mkdtemp(join(folder, 'bin-'));
  const path = process.env['PATH'] ?? '';
  const version = 'case "$1" in --version) exec "$GPG" --version;; esac';
  await writeFile(join(bin, 'gpg'), `#!/bin/sh\nexport PATH='${path}'\nGPG=$(command -v gpg)\n${version}\n${script}\n`);
  await chmod(join(bin, 'gpg'), 0o755);
  return { ...environment(), PATH: `${bin}:${path}` };
}

describe('the gpg engine opens', () => {
  it('what we write, of any size', async () => {
    const recipients = await readCertificates(await gpg.run(['--export', 'curve@example.com']), {
      name: 'ring',
      now: new Date(),
    });
    for (const size of [0, 1, 65_536, 3_000_000]) {
      const encrypter = await openOpenPgpEncrypter({ recipients });
      const data = noise.subarray(0, size);
      const message = await collect(encrypter.encrypt(identity)(streamOf(data)), maxBytes);
      assert.ok(data.equals(await decrypt(message)), `${size} bytes`);
    }
  });

  const ways: readonly (readonly [string, string[]])[] = [
    ['uncompressed', ['--compress-algo', 'none']],
    ['compressed', ['--compress-algo', 'zlib']],
    ['armored', ['--armor']],
    ['signed', ['--sign', '--local-user', 'curve@example.com']],
    ['for a hidden recipient', ['--hidden-recipient', 'curve@example.com']],
  ];
  for (const [what, args] of ways) {
    it(`what gpg writes, ${what}`, async () => {
      assert.ok(noise.equals(await decrypt(await encrypt(noise, ...args))));
    });
  }

  it('a message signed by somebody unknown', async () => {
    await stranger.generate('unknown');
    await stranger.run(['--import'], await gpg.run(['--export', 'rsa@example.com']));
    const message = await stranger.run(['--encrypt', '--sign', '--recipient', 'rsa@example.com'], noise);
    assert.ok(noise.equals(await decrypt(message)));
  });

  it('with the passphrase of a locked key, and that of a message', async () => {
    const forKey = await gpg.run(['--encrypt', '--recipient', 'locked@example.com'], noise);
    await gpg.forgetPassphrases();
    assert.ok(noise.equals(await decrypt(forKey, { passphrase: Secret.fromText(lock) })));
    const symmetric = await gpg.run(['--passphrase', 'correct hörse', '--symmetric'], noise);
    assert.ok(noise.equals(await decrypt(symmetric, { passphrase: Secret.fromText('correct hörse') })));
  });
});

describe('the gpg engine refuses', () => {
  it('a message that was changed, and holds back its end', async () => {
    const message = await encrypt(noise, '--compress-algo', 'none');
    for (const place of [message.byteLength - 5, 2_000_000, 700]) {
      const changed = Buffer.from(message);
      changed.writeUInt8(changed.readUInt8(place) ^ 1, place);
      const { given, error } = await decryptPartly(changed);
      assert.equal((error as { kind?: string }).kind, 'integrity');
      assert.ok(given < noise.byteLength);
    }
  });

  it('every truncation', async () => {
    const message = await encrypt(noise, '--compress-algo', 'none');
    for (const size of [0, 10, 300, 500, 1_000_000, message.byteLength - 30, message.byteLength - 1]) {
      await assert.rejects(decrypt(message.subarray(0, size)), { kind: 'integrity' }, `${size} bytes`);
    }
  });

  it('a message with something in front of it or behind it', async () => {
    const [message, plain] = [await encrypt(noise), await gpg.run(['--store'], 'more')];
    const others = [
      [message, Buffer.from('more')],
      [message, message],
      [message, plain],
      [plain, message],
    ];
    for (const parts of others) await assert.rejects(decrypt(Buffer.concat(parts)), { kind: 'integrity' });
  });

  it('what is not encrypted, and what is no message', async () => {
    const plain = await gpg.run(['--store'], noise);
    const signed = await gpg.run(['--sign', '--local-user', 'rsa@example.com'], noise);
    for (const message of [plain, signed, Buffer.from('-- PostgreSQL database dump\n'), Buffer.alloc(0)]) {
      await assert.rejects(decrypt(message), { kind: 'integrity' });
    }
  });

  it('a message for others, and names whom it is for', async () => {
    const env = environment(stranger);
    await assert.rejects(decrypt(await encrypt(noise), { env }), {
      kind: 'key',
      message:
        /^gpg has no private key for OpenPGP message "archive\.dump\.zst\.pgp"; it is encrypted for [0-9A-F]{16}$/,
    });
  });

  it('a wrong passphrase of a key and of a message', async () => {
    await using other = await openGpg();
    await other.run(['--passphrase', lock, '--quick-generate-key', 'locked']);
    const forKey = await other.run(['--encrypt', '--recipient', 'locked'], noise);
    // The agent has not been told the passphrase but in making the key.
    await other.forgetPassphrases();
    const symmetric = await other.run(['--passphrase', 'right', '--symmetric'], noise);
    for (const message of [forKey, symmetric]) {
      const options = { env: environment(other), passphrase: Secret.fromText('wrong') };
      await assert.rejects(decrypt(message, options), { kind: 'key', message: /passphrase wrong/ });
    }
  });

  it('a passphrase of several lines, of which gpg would take the first', async () => {
    const passphrase = Secret.fromText('one\ntwo');
    await assert.rejects(decrypt(noise, { passphrase }), { kind: 'key', message: /must be one line/ });
  });
});

describe('the gpg engine', () => {
  it('says that there is no gpg, or an old one', async () => {
    const none = { env: { ...environment(), PATH: folder } };
    await assert.rejects(decrypt(noise, none), { kind: 'config', message: /gpg cannot be run/, hint: /--engine gpg/ });
    const bin = await mkdtemp(join(folder, 'old-'));
    await writeFile(join(bin, 'gpg'), '#!/bin/sh\necho "gpg (GnuPG) 2.1.18"\n', { mode: 0o755 });
    const old = { env: { ...environment(), PATH: `${bin}:${process.env['PATH']}` } };
    await assert.rejects(decrypt(noise, old), { kind: 'config', message: 'gpg 2.1.18 is too old' });
  });

  it('does not take an exit code of 0 for success', async () => {
    const env = await withScript('cat >/dev/null; echo half a dump; exit 0');
    await assert.rejects(decrypt(noise, { env }), { kind: 'key' });
    const message = await encrypt(noise);
    const silent = await withScript('"$GPG" "$@" 3>/dev/null');
    await assert.rejects(decrypt(message, { env: silent }), { kind: 'key' });
  });

  it('does not take good words for success when gpg exits otherwise, or is killed after them', async () => {
    const message = await encrypt(noise);
    const failing = await withScript('"$GPG" "$@"; exit 3');
    await assert.rejects(decrypt(message, { env: failing }), { kind: 'integrity' });
    const killed = await withScript('"$GPG" "$@"; kill -9 $$');
    await assert.rejects(decrypt(message, { env: killed }), { kind: 'key', message: /gpg was ended by SIGKILL/ });
  });

  it('reports a gpg that is killed in the middle', async () => {
    const env = await withScript('head -c 100000 | "$GPG" "$@"; kill -9 $$');
    await assert.rejects(decrypt(await encrypt(noise), { env }), { kind: 'key', message: /SIGKILL/ });
  });

  it('gives the passphrase to nobody but gpg: not in its arguments, not in its environment', async () => {
    const seen = join(folder, 'seen');
    const env = await withScript(`{ printf '%s\\n' "$@"; env; } > '${seen}'; exec "$GPG" "$@"`);
    const message = await gpg.run(['--passphrase', 'open sesame', '--symmetric'], noise);
    const options = { env: { ...env, LIBRELOG_SECRET: 'open sesame' }, passphrase: Secret.fromText('open sesame') };
    assert.ok(noise.equals(await decrypt(message, options)));
    const text = await readFile(seen, 'utf8');
    assert.match(text, /^--decrypt$/m);
    assert.doesNotMatch(text, /sesame/);
  });

  it('passes on the error of its source, and does not let gpg take it for the end', async () => {
    const message = await encrypt(noise);
    async function* failing(): ByteStream {
      yield message.subarray(0, 2_000_000);
      await setImmediate();
      throw new Error('the store is gone');
    }
    await assert.rejects(decrypt(failing()), { message: 'the store is gone' });
  });

  it('ends gpg and releases its source when the consumer stops', async () => {
    const pidFile = join(folder, 'pid');
    const env = await withScript(`echo $$ > '${pidFile}'; exec "$GPG" "$@"`);
    const message = await encrypt(noise, '--compress-algo', 'none');
    let isReleased = false;
    async function* source(): ByteStream {
      try {
        for (let offset = 0; offset < message.byteLength; offset += 50_000)
          yield message.subarray(offset, offset + 50_000);
        await new Promise(() => {});
      } finally {
        isReleased = true;
      }
    }
    const decrypter = await openGpgDecrypter({ env });
    for await (const chunk of decrypter.decrypt(identity)(source())) if (chunk.byteLength > 0) break;
    const pid = Number(await readFile(pidFile, 'utf8'));
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    assert.ok(isReleased);
  });

  it('ends when it is interrupted, though gpg waits for its user', async () => {
    const env = await withScript('exec sleep 600');
    const interruption = new AbortController();
    const opening = decrypt(await encrypt(noise), { env, signal: interruption.signal });
    await setImmediate();
    interruption.abort(new Error('interrupted by SIGINT'));
    await assert.rejects(opening, { message: 'interrupted by SIGINT' });
  });
});
