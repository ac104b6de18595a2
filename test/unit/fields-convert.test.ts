import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BackupError } from '../../src/core/backup-error.ts';
import { streamOf, type ByteStream } from '../../src/core/byte-stream.ts';
import { createFieldConverter, type FieldAction } from '../../src/fields/convert-fields.ts';
import { convertLines, maxLineBytes, type ConvertLine } from '../../src/fields/convert-lines.ts';
import { decryptField, encryptField } from '../../src/fields/encrypt-field.ts';
import { openFieldKeyring } from '../../src/fields/field-keyring.ts';
import { inChunks } from './aes-objects.ts';

const upper: ConvertLine = (line) => Buffer.from(line.toString('utf8').toUpperCase());

/** What came before the failure, if there was one. */
async function gather(stream: ByteStream): Promise<{ text: string; error: object | null }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  } catch (error) {
    const facts =
      error instanceof BackupError ? { kind: error.kind, message: error.message, hint: error.hint } : { error };
    return { text: Buffer.concat(chunks).toString('utf8'), error: facts };
  }
  return { text: Buffer.concat(chunks).toString('utf8'), error: null };
}

describe('converting lines', () => {
  it('keeps their number and order, however they come', async () => {
    const cases: [string, string][] = [
      ['', ''],
      ['a', 'A\n'],
      ['a\n', 'A\n'],
      ['a\n\nb', 'A\n\nB\n'],
      ['\n\n', '\n\n'],
      ['é\r\nü', 'É\r\nÜ\n'],
    ];
    for (const [input, output] of cases) {
      for (const size of [1, 2, 3, 100]) {
        assert.deepEqual(await gather(convertLines(inChunks(Buffer.from(input), size), upper)), {
          text: output,
          error: null,
        });
      }
    }
  });

  it('gives every line before the one that fails, and none after it, and names it', async () => {
    const convert: ConvertLine = (line) => {
      if (line.toString() === 'bad') throw new BackupError('key', 'no such key', { hint: 'Find it.' });
      return upper(line);
    };
    for (const input of ['a\nb\nbad\nc\nd\n', 'a\nb\nbad']) {
      for (const size of [1, 4, 100]) {
        const { text, error } = await gather(convertLines(inChunks(Buffer.from(input), size), convert));
        assert.equal(text, 'A\nB\n');
        assert.deepEqual(error, { kind: 'key', message: 'line 3: no such key', hint: 'Find it.' });
      }
    }
  });

  it('refuses a line that is too long, with or without an end, and holds no more than that', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 0x61);
    let asked = 0;
    async function* endless(): ByteStream {
      yield Buffer.from('a\n');
      for (;;) {
        asked += 1;
        yield await Promise.resolve(chunk);
      }
    }
    const { text, error } = await gather(convertLines(endless(), upper));
    assert.equal(text, 'A\n');
    assert.partialDeepStrictEqual(error, { kind: 'integrity', message: `line 2: longer than ${maxLineBytes} bytes` });
    assert.equal(asked, maxLineBytes / chunk.byteLength + 1);
    const whole = await gather(convertLines(streamOf(Buffer.alloc(maxLineBytes + 1, 0x61), '\n'), upper));
    assert.partialDeepStrictEqual(whole.error, { message: `line 1: longer than ${maxLineBytes} bytes` });
    const longest = await gather(convertLines(streamOf(Buffer.alloc(maxLineBytes, 0x61), '\nb'), upper));
    assert.equal(longest.error, null);
  });

  it('passes on an error of its source', async () => {
    async function* failing(): ByteStream {
      yield await Promise.resolve(Buffer.from('a\nb'));
      throw new Error('cut off');
    }
    const { text, error } = await gather(convertLines(failing(), upper));
    assert.deepEqual({ text, error }, { text: 'A\n', error: { error: new Error('cut off') } });
  });
});

const keyring = await openFieldKeyring(
  { keys: ['env:KEY', 'env:OLD'] },
  { env: { KEY: '11'.repeat(32), OLD: '22'.repeat(32) } },
);
const old = await openFieldKeyring({ keys: ['env:OLD'] }, { env: { OLD: '22'.repeat(32) } });
const context = 'users';

function createConverter(action: FieldAction, ...fields: readonly string[]) {
  const { convert, changed } = createFieldConverter({ action, keyring, options: { context }, fields });
  return {
    convert: (text: string | Buffer) => Buffer.from(convert(Buffer.from(text as string))).toString('utf8'),
    changed,
  };
}

describe('fields of JSON lines', () => {
  const line =
    '{ "id":12345678901234567890,"e\\u006dail" : "Gr\\u00fc\\u00dfe\\n" ,"phone":null, "o":{"email":1e400}, "x":1.10 }';

  it('are replaced, and everything else stays letter for letter', () => {
    const encrypted = createConverter('encrypt', 'email', 'phone').convert(line);
    const token = /"(lbf1\.[^"]+)"/.exec(encrypted)?.[1] ?? '';
    assert.equal(encrypted, line.replace('"Gr\\u00fc\\u00dfe\\n"', `"${token}"`));
    assert.equal(decryptField(keyring, token, { context: 'users.email' }).toString(), 'Grüße\n');
    const decrypted = createConverter('decrypt', 'phone', 'email').convert(encrypted);
    assert.equal(decrypted, line.replace('"Gr\\u00fc\\u00dfe\\n"', '"Grüße\\n"'));
  });

  it('have contexts of their own', () => {
    const encrypted = createConverter('encrypt', 'a', 'b').convert('{"b":"1","a":"2"}');
    const exchanged = encrypted.replace('"b":', '"c":').replace('"a":', '"b":').replace('"c":', '"a":');
    assert.equal(createConverter('decrypt', 'a', 'b').convert(encrypted), '{"b":"1","a":"2"}');
    assert.throws(() => createConverter('decrypt', 'a', 'b').convert(exchanged), {
      kind: 'integrity',
      message: 'field "a": the token was altered, or it belongs to another context',
    });
  });

  it('are refused where something is wrong, by name', () => {
    const cases: [string | Buffer, RegExp][] = [
      ['{"phone":"1"}', /^there is no field "email"$/],
      ['{"email":"1","e\\u006dail":"2"}', /^field "email" is there twice$/],
      ['{"email":1}', /^field "email": the value is neither text nor null$/],
      ['{"email":{"x":"1"}}', /^field "email": the value is neither/],
      ['{"email":"\\ud800"}', /^field "email": the value has half a surrogate pair$/],
      ['{"email":"1"', /^not JSON$/],
      ['["email"]', /^not a JSON object$/],
      ['', /^not JSON$/],
      [Buffer.from('{"email":"\xff"}', 'latin1'), /^the line is not UTF-8$/],
    ];
    for (const [text, message] of cases) {
      assert.throws(
        () => createConverter('encrypt', 'email').convert(text),
        { kind: 'integrity', message },
        String(text),
      );
    }
    const bytes = encryptField(keyring, Buffer.from([0xff]), { context: 'users.email' });
    assert.throws(() => createConverter('decrypt', 'email').convert(`{"email":"${bytes}"}`), {
      kind: 'integrity',
      message: 'field "email": the value is not UTF-8',
    });
  });
});

describe('lines of values', () => {
  it('are bytes: any value without a line break comes back', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte !== 0x0a));
    const encrypter = createFieldConverter({ action: 'encrypt', keyring, options: { context }, fields: [] });
    const decrypter = createFieldConverter({ action: 'decrypt', keyring, options: { context }, fields: [] });
    assert.deepEqual(Buffer.from(decrypter.convert(Buffer.from(encrypter.convert(bytes)))), bytes);
  });

  it('cannot give a value with a line break', () => {
    const token = encryptField(keyring, 'one\ntwo', { context });
    assert.throws(() => createConverter('decrypt').convert(token), { kind: 'integrity', message: /has a line break/ });
  });

  it('are not encrypted twice', () => {
    const token = createConverter('encrypt').convert('x');
    assert.throws(() => createConverter('encrypt').convert(token), {
      kind: 'integrity',
      message: /is a token already/,
    });
    const object = `{"a":"${token}"}`;
    assert.throws(() => createConverter('encrypt', 'a').convert(object), {
      message: /^field "a": the value is a token/,
    });
  });
});

describe('rotating lines', () => {
  it('makes anew what the active key did not make, and leaves the rest letter for letter', () => {
    const converter = createConverter('rotate');
    const current = encryptField(keyring, 'new', { context });
    const rotated = converter.convert(encryptField(old, 'old', { context }));
    assert.equal(converter.convert(current), current);
    assert.equal(converter.changed(), 1);
    assert.ok(rotated.startsWith(`lbf1.${keyring.active.id}.`));
    assert.equal(decryptField(keyring, rotated, { context }).toString(), 'old');
  });

  it('hands on no token that does not open, even if it could stay', () => {
    const token = encryptField(keyring, 'new', { context });
    const altered = token.slice(0, -1) + (token.endsWith('A') ? 'Q' : 'A');
    assert.throws(() => createConverter('rotate').convert(altered), { kind: 'integrity' });
    assert.throws(() => createConverter('rotate').convert('plain'), { kind: 'integrity', message: /never encrypted/ });
  });

  it('works on values with line breaks', () => {
    const rotated = createConverter('rotate').convert(encryptField(old, 'one\ntwo', { context }));
    assert.equal(decryptField(keyring, rotated, { context }).toString(), 'one\ntwo');
  });
});
