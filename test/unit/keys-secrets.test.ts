import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { Secret } from '../../src/core/secret.ts';
import { parseKeyMaterial } from '../../src/keys/key-material.ts';
import { readKeyEncryptionKey } from '../../src/keys/read-key-encryption-key.ts';
import { readPassphrase } from '../../src/keys/read-passphrase.ts';
import { readSecret } from '../../src/keys/read-secret.ts';
import { parseKeyReference, parseSecretReference, splitKeyId } from '../../src/keys/secret-reference.ts';

const folder = await mkdtemp(join(tmpdir(), 'librelog-keys-'));
after(async () => await rm(folder, { recursive: true }));

async function writeKey(name: string, content: string | Uint8Array, mode = 0o600): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

async function readFileSecret(path: string): Promise<{ text: string; warnings: readonly string[] }> {
  const { secret, warnings } = await readSecret(parseSecretReference(`file:${path}`), { env: {} });
  return { text: secret.revealText(), warnings };
}

describe('secret reference', () => {
  it('has a scheme, a location, a field and a version', () => {
    const cases: [string, object][] = [
      ['env:BACKUP_KEY', { scheme: 'env', location: 'BACKUP_KEY' }],
      ['env:KEYS#aes', { scheme: 'env', location: 'KEYS', field: 'aes' }],
      ['file:/etc/a b:c', { scheme: 'file', location: '/etc/a b:c' }],
      ['file:/etc/a@b/c#d/key', { scheme: 'file', location: '/etc/a@b/c#d/key' }],
      ['file:/etc/a%402%23%25', { scheme: 'file', location: '/etc/a@2#%' }],
      ['file:/etc/100%', { scheme: 'file', location: '/etc/100%' }],
      ['file:/etc/keys.json#aes@7f', { scheme: 'file', location: '/etc/keys.json', field: 'aes', version: '7f' }],
      ['exec:pass show a@b#c', { scheme: 'exec', location: 'pass show a@b#c' }],
      ['vault:kv/team/backup#key@3', { scheme: 'vault', location: 'kv/team/backup', field: 'key', version: '3' }],
      [
        'aws-sm:arn:aws:secretsmanager:eu-west-1:1:secret:a-x#k',
        { location: 'arn:aws:secretsmanager:eu-west-1:1:secret:a-x' },
      ],
      ['azure-kv:safe/backup@0f', { scheme: 'azure-kv', location: 'safe/backup', version: '0f' }],
      ['gcp-sm:project/backup@latest', { scheme: 'gcp-sm', location: 'project/backup', version: 'latest' }],
    ];
    for (const [text, parts] of cases) assert.partialDeepStrictEqual(parseSecretReference(text), { ...parts, text });
    assert.equal(parseSecretReference('file:/etc/a@b/c#d/key').field, undefined);
  });

  it('may name a key that never leaves its service where a key is wanted, and nowhere else', () => {
    const cases = [
      'aws-kms:arn:aws:kms:eu-west-1:1:key/a',
      'aws-kms:alias/backup',
      'gcp-kms:projects/p/locations/l/keyRings/r/cryptoKeys/k@4',
      'azure-key:safe/backup@0f',
      'vault-transit:transit/backup',
    ];
    for (const text of cases) {
      assert.equal(parseKeyReference(text).text, text);
      assert.throws(() => parseSecretReference(text), { kind: 'config', message: /stays in its service/ }, text);
    }
    assert.equal(parseKeyReference('env:A').scheme, 'env');
  });

  it('fails with config and says which part is wrong', () => {
    const cases: [string, RegExp][] = [
      ['env:', /"env:" names nothing/],
      ['env:MY-KEY', /"env:" has a variable name that is not/],
      ['env:1ST', /"env:" has a variable name that is not/],
      ['file:', /"file:" names nothing/],
      ['env:A@', /"env:" has an empty version/],
      ['env:A#', /"env:" has an empty field/],
      ['file:/a@', /"file:" has an empty version/],
      ['vault:backup', /"vault:" is not MOUNT\/PATH/],
      ['azure-kv:safe', /"azure-kv:" is not VAULT\/NAME/],
      ['gcp-sm:project', /"gcp-sm:" is not PROJECT\/NAME/],
      ['aws-sm:a b', /"aws-sm:" is not the name or ARN/],
      ['file:a\0b', /"file:" has a path with a zero byte/],
      ['/etc/key', /no known scheme/],
      ['', /no known scheme/],
    ];
    for (const [text, message] of cases) {
      assert.throws(() => parseSecretReference(text), { kind: 'config', message }, text);
    }
  });

  it('names a key of a keyring by its id, which no service has for a version of its own', () => {
    const cases: [string, string | undefined, string | undefined][] = [
      ['file:/etc/ring', undefined, undefined],
      ['file:/etc/ring@1a058c377abe23fb', '1a058c377abe23fb', undefined],
      ['file:/etc/ring@old', 'old', undefined],
      ['env:RING@1a058c377abe23fb', '1a058c377abe23fb', undefined],
      ['vault:kv/backup#ring@1a058c377abe23fb', '1a058c377abe23fb', undefined],
      ['vault:kv/backup#ring@3', undefined, '3'],
      ['aws-sm:backup@AWSPREVIOUS', undefined, 'AWSPREVIOUS'],
      ['azure-kv:safe/backup@0123456789abcdef0123456789abcdef', undefined, '0123456789abcdef0123456789abcdef'],
    ];
    for (const [text, keyId, version] of cases) {
      const { source, keyId: found } = splitKeyId(parseSecretReference(text));
      assert.deepEqual([found, source.version, source.text], [keyId, version, text]);
    }
  });

  it('never repeats a secret that was given in its place', () => {
    for (const text of ['hunter2', 'hunter2:hunter2', 'env:hunter2!', 'ENV:hunter2']) {
      assert.throws(
        () => parseSecretReference(text),
        (error) =>
          !inspect(error)
            .replace(/\n\s+at .*/g, '')
            .includes('hunter2'),
        text,
      );
    }
  });
});

describe('reading a secret', () => {
  it('takes an environment variable as it is', async () => {
    const { secret, warnings } = await readSecret(parseSecretReference('env:A'), { env: { A: ' é\n' } });
    assert.equal(secret.revealText(), ' é\n');
    assert.deepEqual(warnings, []);
  });

  it('takes a file as it is', async () => {
    assert.deepEqual(await readFileSecret(await writeKey('plain', 'abc\n')), { text: 'abc\n', warnings: [] });
  });

  it('fails with key, naming the reference, when nothing is there', async () => {
    const missing = join(folder, 'missing');
    const cases: [string, RegExp][] = [
      ['env:NOT_SET', /cannot read secret env:NOT_SET: there is no such environment variable/],
      ['env:EMPTY', /secret env:EMPTY is empty/],
      [`file:${missing}`, /cannot read secret file:.*missing: there is no such file/],
      [`file:${folder}`, /cannot read secret file:.*: it is a folder/],
      [`file:${await writeKey('empty', '')}`, /secret file:.*empty is empty/],
    ];
    for (const [text, message] of cases) {
      const read = readSecret(parseSecretReference(text), { env: { EMPTY: '' } });
      await assert.rejects(read, { kind: 'key', message }, text);
    }
  });

  it('refuses a version of what has none, instead of reading something else', async () => {
    const path = await writeKey('pass', 'open sesame\n');
    for (const text of [`file:${path}@2`, 'env:PASS@2']) {
      await assert.rejects(readPassphrase(text, { env: { PASS: 'open sesame' } }), {
        kind: 'config',
        message: /has an "@", but the secret has no versions/,
      });
    }
  });

  it('does not read a file that is too large to be a secret', async () => {
    const path = await writeKey('large', '');
    await truncate(path, 2 ** 40);
    await assert.rejects(readFileSecret(path), { kind: 'key', message: /larger than 1048576 bytes/ });
    await truncate(path, 2 ** 20);
    assert.equal((await readFileSecret(path)).text.length, 2 ** 20);
  });

  it('warns when others may read the file', async () => {
    for (const mode of [0o644, 0o640, 0o604, 0o444]) {
      const { warnings } = await readFileSecret(await writeKey(`mode-${mode}`, 'x', mode));
      assert.equal(warnings.length, 1, mode.toString(8));
      assert.match(warnings[0] ?? '', new RegExp(`can be read by other users \\(mode 0${mode.toString(8)}\\)`));
    }
    for (const mode of [0o600, 0o400]) {
      assert.deepEqual((await readFileSecret(await writeKey(`mode-${mode}`, 'x', mode))).warnings, []);
    }
  });

  it('does not warn of the modes that Kubernetes gives to its secret volumes', async () => {
    await mkdir(join(folder, '..2026_11_23'));
    await writeKey('..2026_11_23/key', 'x', 0o644);
    await symlink('..2026_11_23', join(folder, '..data'));
    await symlink('..data/key', join(folder, 'key'));
    assert.deepEqual(await readFileSecret(join(folder, 'key')), { text: 'x', warnings: [] });
    await symlink('mode-420', join(folder, 'ordinary-link'));
    assert.equal((await readFileSecret(join(folder, 'ordinary-link'))).warnings.length, 1);
  });

  it('reads a pipe to its end', async () => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const [read] = await Promise.all([readFileSecret(path), writeFile(path, 'from a pipe')]);
    assert.deepEqual(read, { text: 'from a pipe', warnings: [] });
  });
});

describe('key material', () => {
  const key = Buffer.from('fbf0123456789abcdef0123456789abcdef0123456789abcdef0123456789aff', 'hex');
  const forms: Record<string, string | Uint8Array> = {
    raw: key,
    'raw and a newline': Buffer.concat([key, Buffer.from('\n')]),
    hex: key.toString('hex'),
    'HEX and a newline': `${key.toString('hex').toUpperCase()}\n`,
    base64: key.toString('base64'),
    'base64 without padding': key.toString('base64').replace('=', ''),
    'base64, carriage return, newline': `${key.toString('base64')}\r\n`,
    base64url: `${key.toString('base64url')}\n`,
    'a key file with comments': `# made today\n\n${key.toString('base64')}\n# the end\n`,
  };

  for (const [form, content] of Object.entries(forms)) {
    it(`is read from ${form}`, () => {
      assert.deepEqual(Buffer.from(parseKeyMaterial(new Secret(Buffer.from(content)), 'x').reveal()), key);
    });
  }

  const wrong: [string | Uint8Array, RegExp][] = [
    ['0123456789abcdef0123456789abcdef', /key file:k holds 16 bytes from hex; an AES-256 key is 32 bytes/],
    [key.subarray(0, 31), /holds 31 bytes raw/],
    [Buffer.concat([key, key.subarray(0, 1)]), /holds 33 bytes raw/],
    [key.subarray(0, 24).toString('base64'), /holds 24 bytes from base64/],
    [key.subarray(0, 1).toString('hex'), /holds 1 byte from hex/],
    ['correct horse battery staple', /holds text that is neither hex nor base64/],
    ['exactly 32 characters of a phrase', /holds text that is neither/],
    [`${key.toString('hex')}\n${key.toString('hex')}\n`, /holds 2 lines of text/],
    ['# only a comment\n', /holds no key/],
    ['\n', /holds no key/],
  ];
  for (const [content, message] of wrong) {
    it(`is refused: ${message.source}`, () => {
      assert.throws(
        () => parseKeyMaterial(new Secret(Buffer.from(content)), 'file:k'),
        (error) => {
          assert.ok(error instanceof Error && 'kind' in error && error.kind === 'key');
          assert.match(error.message, message);
          assert.ok(typeof content !== 'string' || content.trim() === '' || !inspect(error).includes(content.trim()));
          return true;
        },
      );
    });
  }
});

describe('keys and passphrases by reference', () => {
  const hex = '11'.repeat(32);

  it('give a key, its id and the warnings', async () => {
    const path = await writeKey('open.key', `${hex}\n`, 0o644);
    const read = await readKeyEncryptionKey(`file:${path}`, { env: {} });
    assert.deepEqual(Buffer.from(read.secret.reveal()).toString('hex'), hex);
    assert.match(read.keyId, /^[0-9a-f]{16}$/);
    assert.equal(read.warnings.length, 1);
  });

  it('give the same id for the same key, another for another, however it is written', async () => {
    const env = { A: hex, B: Buffer.from(hex, 'hex').toString('base64'), C: '12'.repeat(32) };
    const ids = await Promise.all(
      ['env:A', 'env:B', 'env:C'].map(async (ref) => (await readKeyEncryptionKey(ref, { env })).keyId),
    );
    assert.equal(ids[0], ids[1]);
    assert.notEqual(ids[0], ids[2]);
    // Computed with Python's hmac module: the label of docs/format.md under 32 bytes 0x11.
    assert.equal(ids[0], '51f9aa3a906769f5');
  });

  it('give the first line of a passphrase', async () => {
    const env = { A: 'one two\r\nthree\n', B: ' spaces count ', C: 'été' };
    for (const [ref, text] of [
      ['env:A', 'one two'],
      ['env:B', ' spaces count '],
      ['env:C', 'été'],
    ] as const) {
      assert.equal((await readPassphrase(ref, { env })).secret.revealText(), text);
    }
  });

  it('refuse an empty passphrase', async () => {
    await assert.rejects(readPassphrase('env:A', { env: { A: '\nsecond line' } }), {
      kind: 'key',
      message: 'passphrase env:A is empty',
    });
  });
});
