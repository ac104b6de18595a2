import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ErrorKind } from '../../src/core/backup-error.ts';
import { type GpgRun, findDecryptionFault, parseStatusLine } from '../../src/crypto/gpg-status.ts';

const good = [
  'ENC_TO F4B7BAEC996396DC 1 0',
  'DECRYPTION_KEY 8C1BC4B40A72EDF083C42AEDF4B7BAEC996396DC 7B4F7BA997C6F1A050C92193775A7D13B929A157 u',
  'BEGIN_DECRYPTION',
  'DECRYPTION_INFO 2 9 0',
  'PLAINTEXT 62 1795541166 ',
  'DECRYPTION_OKAY',
  'GOODMDC',
  'END_DECRYPTION',
];
const failed = ['BEGIN_DECRYPTION', 'DECRYPTION_FAILED', 'END_DECRYPTION'];

function run(lines: readonly string[], options: Partial<GpgRun> = {}): GpgRun {
  const status = lines.map((line) => parseStatusLine(`[GNUPG:] ${line}`)).filter((line) => line !== null);
  return { status, exitCode: 0, signal: null, stderr: '', hasReadAll: true, ...options };
}

describe('findDecryptionFault', () => {
  it('is content with a run in which everything went well', () => {
    assert.equal(findDecryptionFault(run(good), 'a.pgp'), null);
  });

  it('is content when another of the keys could not be used', () => {
    const lines = ['ENC_TO 0123456789ABCDEF 1 0', 'NO_SECKEY 0123456789ABCDEF', 'ERROR pkdecrypt_failed 11', ...good];
    assert.equal(findDecryptionFault(run(lines), 'a.pgp'), null);
  });

  for (const missing of ['BEGIN_DECRYPTION', 'PLAINTEXT', 'DECRYPTION_OKAY', 'GOODMDC', 'END_DECRYPTION']) {
    it(`is not without ${missing}, though the exit code is 0`, () => {
      const lines = good.filter((line) => !line.startsWith(missing));
      assert.equal(findDecryptionFault(run(lines), 'a.pgp')?.kind, 'integrity');
    });
    it(`is not with ${missing} twice`, () => {
      const lines = good.flatMap((line) => (line.startsWith(missing) ? [line, line] : [line]));
      assert.equal(findDecryptionFault(run(lines), 'a.pgp')?.kind, 'integrity');
    });
  }

  for (const further of ['NODATA 3', 'BADMDC', 'DECRYPTION_FAILED', 'UNEXPECTED 0', 'FAILURE gpg-exit 33554433']) {
    it(`is not with ${further} as well`, () => {
      assert.equal(findDecryptionFault(run([...good, further]), 'a.pgp')?.kind, 'integrity');
    });
  }

  it('is not when the exit code is another, gpg was killed, or did not read on to the end', () => {
    assert.equal(findDecryptionFault(run(good, { exitCode: 2 }), 'a.pgp')?.kind, 'integrity');
    assert.equal(findDecryptionFault(run(good, { hasReadAll: false }), 'a.pgp')?.kind, 'integrity');
    const killed = findDecryptionFault(run(good, { exitCode: null, signal: 'SIGKILL' }), 'a.pgp');
    assert.equal(killed?.kind, 'key');
    assert.match(killed.message, /gpg was ended by SIGKILL/);
  });

  const faults: readonly (readonly [string, readonly string[], ErrorKind, RegExp])[] = [
    ['a wrong MDC', [...good.slice(0, 5), 'BADMDC', ...failed.slice(1)], 'integrity', /tampered with, damaged or cut/],
    ['no private key', ['ENC_TO F4B7 1 0', 'NO_SECKEY F4B7', ...failed], 'key', /no private key .* encrypted for F4B7/],
    ['no key for a hidden one', ['ENC_TO 0000 1 0', 'NO_SECKEY 0000', ...failed], 'key', /its recipients are hidden/],
    [
      'a wrong passphrase of a key',
      ['ENC_TO F4B7 1 0', 'ERROR pkdecrypt_failed 67108875', ...failed],
      'key',
      /passphrase/,
    ],
    [
      'a wrong passphrase of a message',
      [
        'NEED_PASSPHRASE_SYM 9 3 2',
        'BEGIN_DECRYPTION',
        'DECRYPTION_INFO 2 9 0',
        'ERROR symkey_decrypt.maybe_error 11_BAD_PASSPHRASE',
      ],
      'key',
      /passphrase wrong/,
    ],
    [
      'a locked key',
      ['ENC_TO F4B7 1 0', 'ERROR pkdecrypt_failed 83918950', ...failed],
      'key',
      /cannot use a key .*: last words/,
    ],
    ['nobody to type', ['NEED_PASSPHRASE_SYM 9 3 2', 'CANCELED_BY_USER', ...failed], 'key', /cannot use a key/],
    ['no message', ['NODATA 1', 'NODATA 2', 'FAILURE decrypt 4294967295'], 'integrity', /is none, or is truncated/],
    ['a message cut among its keys', ['ENC_TO F4B7 1 0', 'NO_SECKEY F4B7'], 'integrity', /is none, or is truncated/],
    ['a message that is not encrypted', ['PLAINTEXT 62 0 '], 'integrity', /is not encrypted/],
    ['damaged data', good.slice(0, 5), 'integrity', /cannot be decrypted by gpg: last words/],
    ['gpg itself', [], 'key', /gpg failed with exit code 2: last words/],
  ];
  for (const [what, lines, kind, message] of faults) {
    it(`explains ${what}`, () => {
      const fault = findDecryptionFault(run(lines, { exitCode: 2, stderr: 'gpg: first\ngpg: last words\n' }), 'a.pgp');
      assert.equal(fault?.kind, kind);
      assert.match(fault.message, message);
    });
  }
});

describe('parseStatusLine', () => {
  it('takes status lines apart and leaves everything else', () => {
    assert.deepEqual(parseStatusLine('[GNUPG:] NODATA 3'), { keyword: 'NODATA', args: ['3'] });
    assert.deepEqual(parseStatusLine('[GNUPG:] GOODMDC\r'), { keyword: 'GOODMDC', args: [] });
    for (const line of ['', 'gpg: GOODMDC', '[GNUPG:]', '[GNUPG:] ', ' [GNUPG:] GOODMDC']) {
      assert.equal(parseStatusLine(line), null);
    }
  });
});
