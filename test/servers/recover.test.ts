import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { canonicalManifestBytes } from '../../src/catalog/seal.ts';
import { macManifest } from '../../src/crypto/manifest-mac.ts';
import { dataKey, encryptBytes, identity, keySecret, wrappedKeys } from '../unit/aes-objects.ts';
import { readAesVectors, smallSqlSha256, vectorPath } from '../unit/aes-vectors.ts';

// Any Python from 3.9 with the package `cryptography`; `tink.sh install` makes one.
const python = process.env['LIBRELOG_TEST_PYTHON'] ?? 'python3';
const script = fileURLToPath(new URL('../../docs/recover/open_aes.py', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'librelog-recover-'));
after(async () => await rm(folder, { recursive: true }));

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const output = join(folder, 'output');

interface Run {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

function runScript(...args: string[]): Run {
  const run = spawnSync(python, [script, ...args], { maxBuffer: 1e9 });
  if (run.error) throw run.error;
  return { status: run.status, stdout: run.stdout, stderr: run.stderr.toString() };
}

async function write(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

// The key of the helpers wraps under a made-up id; the script computes ids itself.
const keyFile = await write('key.txt', `${Buffer.from(keySecret.reveal()).toString('hex')}\n`);
const dataKeyFile = await write('data-key.txt', Buffer.from(dataKey.reveal()).toString('hex'));

/** Opens bytes as an object with the data key; leaves the output of a success. */
async function openWithDataKey(object: Uint8Array): Promise<Run> {
  await rm(output, { force: true });
  return runScript('open', await write('object.aes', object), output, '--data-key-file', dataKeyFile);
}

describe('recovery with the Python script', async () => {
  for (const vector of await readAesVectors()) {
    for (const unlocker of vector.opensWith) {
      it(`opens ${vector.objectName} with ${unlocker}`, async () => {
        await rm(output, { force: true });
        const option = unlocker.startsWith('passphrase') ? '--passphrase-file' : '--key-file';
        const run = runScript('open', vectorPath(vector.objectName), output, option, vectorPath(unlocker));
        assert.deepEqual(run, { status: 0, stdout: Buffer.alloc(0), stderr: '' });
        assert.equal(sha256(await readFile(output)), vector.plainSha256);
        assert.equal((await stat(output)).mode & 0o777, 0o600);
      });
    }
  }

  it('gives standard output what stock zstd decompresses', () => {
    const opened = runScript('open', vectorPath('small.sql.zst.aes'), '-', '--key-file', vectorPath('key.txt'));
    assert.equal(opened.stderr, '');
    const zstd = spawnSync('zstd', ['-d', '-c'], { input: opened.stdout });
    assert.equal(zstd.status, 0);
    assert.equal(sha256(zstd.stdout), smallSqlSha256);
  });

  it('opens what we write today, at segment boundaries', async () => {
    for (const size of [0, 1_048_519, 1_048_520, 1_048_521, 1_048_520 + 1_048_560, 3_000_000]) {
      const plaintext = randomBytes(size);
      const run = await openWithDataKey(await encryptBytes(plaintext));
      assert.equal(run.stderr, '');
      assert.deepEqual(await readFile(output), plaintext, `${size} bytes`);
    }
  });

  it('shows the header', () => {
    const run = runScript('header', vectorPath('empty.dump.aes'));
    assert.equal((JSON.parse(run.stdout.toString()) as { objectName: string }).objectName, 'empty.dump.aes');
  });

  it('refuses damaged input and leaves no output', async () => {
    const object = await encryptBytes(randomBytes(2_200_000));
    const flip = (index: number): Buffer => {
      const changed = Buffer.from(object);
      changed[index] = (changed[index] ?? 0) ^ 1;
      return changed;
    };
    const headerEnd = 12 + object.readUInt32BE(8) + 32;
    const damaged: Record<string, [Uint8Array, RegExp]> = {
      empty: [Buffer.alloc(0), /is cut/],
      'cut in the header': [object.subarray(0, 100), /is cut/],
      'cut after the header': [object.subarray(0, headerEnd), /payload is cut/],
      'cut between segments': [object.subarray(0, headerEnd + 2 * 1_048_576), /segment 1 was changed, cut/],
      'cut at its last byte': [object.subarray(0, -1), /segment 2 was/],
      'one byte more': [Buffer.concat([object, Buffer.alloc(1)]), /segment 2 was/],
      'another magic': [flip(0), /not an AES-256 object/],
      'a huge header': [flip(8), /too long/],
      'a changed header': [flip(200), /header|suite|data key/],
      'a changed MAC': [flip(headerEnd - 1), /header was changed/],
      'a changed first segment': [flip(headerEnd + 50), /segment 0 was/],
      'a changed second segment': [flip(headerEnd + 1_048_576), /segment 1 was/],
    };
    for (const [what, [bytes, message]] of Object.entries(damaged)) {
      const run = await openWithDataKey(bytes);
      assert.equal(run.status, 1, what);
      assert.match(run.stderr, message, what);
      assert.match(run.stderr, /^open_aes: .*\n$/, `${what}: one line, no traceback`);
      assert.ok(!existsSync(output), `${what}: left its output`);
    }
  });

  it('names the keys when none fits', async () => {
    const run = runScript('open', vectorPath('small.sql.zst.aes'), join(folder, 'no'), '--key-file', keyFile);
    assert.equal(run.status, 1);
    assert.match(
      run.stderr,
      /no key fits: wanted [0-9a-f]{16}, [0-9a-f]{16}, a passphrase; at hand: key 51f9aa3a906769f5/,
    );
  });

  it('never overwrites a file', async () => {
    const precious = await write('precious', 'keep me');
    const run = runScript('open', vectorPath('empty.dump.aes'), precious, '--key-file', vectorPath('key.txt'));
    assert.equal(run.status, 1);
    assert.equal(await readFile(precious, 'utf8'), 'keep me');
  });
});

describe('a manifest in the Python script', async () => {
  const wrappedForScript = wrappedKeys.map((wrapped) => ({ ...wrapped, keyId: '51f9aa3a906769f5' }));
  const manifest = {
    format: 'librelog-backup-manifest' as const,
    version: 1 as const,
    id: identity.backupId,
    label: 'größe "1" \u0001\u007f\\',
    startedAt: '2026-11-23T23:14:05Z',
    finishedAt: '2026-11-23T23:15:05Z',
    tool: { name: 'librelog-backup' as const, version: '0.1.0' },
    source: {
      serverVersion: '15.14',
      database: '数据 🗄\n',
      encoding: 'UTF8',
      collate: 'C',
      ctype: 'C',
      sizeBytes: Number.MAX_SAFE_INTEGER,
      inRecovery: false,
    },
    dump: { format: 'custom' as const, clientVersion: '15.14', options: ['--schema'] },
    compression: { method: 'zstd' as const, level: 3, frameBytes: 4_194_304 },
    encryption: { method: 'aes-256-gcm-hkdf-1mb' as const, wrappedKeys: wrappedForScript },
    objects: [
      { name: identity.objectName, role: 'archive' as const, plainBytes: 1, storedBytes: 2, sha256: 'a'.repeat(64) },
    ],
  };
  const value = macManifest(dataKey, canonicalManifestBytes(manifest));
  const sealed = { ...manifest, seal: { method: 'hmac-sha-256' as const, value } };

  it('gives its data key once the seal is proven', async () => {
    const path = await write('manifest.json', JSON.stringify(sealed, null, 2));
    const run = runScript('data-key', path, '--key-file', keyFile);
    assert.equal(run.stderr, '');
    assert.equal(run.stdout.toString(), `${Buffer.from(dataKey.reveal()).toString('hex')}\n`);
  });

  it('is refused when it was changed', async () => {
    const changed: Record<string, unknown> = {
      'another label': { ...sealed, label: 'x' },
      'no seal': { ...sealed, seal: null },
      'an added field': { ...sealed, extra: 1 },
      'another encryption': { ...sealed, encryption: { method: 'openpgp' } },
      'not a manifest': [],
    };
    for (const [what, content] of Object.entries(changed)) {
      const run = runScript('data-key', await write('manifest.json', JSON.stringify(content)), '--key-file', keyFile);
      assert.equal(run.status, 1, what);
      assert.equal(run.stdout.toString(), '', what);
      assert.match(run.stderr, /^open_aes: .*\n$/, what);
    }
  });
});
