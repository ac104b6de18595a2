import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { quoteIdentifier, quoteIdentifierInAscii, quoteLiteral } from '../../src/postgres/quote.ts';

/** What the server makes of `"…"` and `U&"…"` (manual, 4.1.1 and 4.1.2.3). */
function readIdentifier(sql: string): string {
  const isEscaped = sql.startsWith('U&');
  const inner = sql.slice(isEscaped ? 3 : 1, -1);
  assert.equal(sql, `${isEscaped ? 'U&' : ''}"${inner}"`);
  assert.doesNotMatch(inner.replaceAll('""', ''), /"/, 'a quote that ends the name');
  const name = inner.replaceAll('""', '"');
  if (!isEscaped) return name;
  return name.replaceAll(/\\(?:\\|\+([0-9a-f]{6})|.)/g, (escape, code: string | undefined) => {
    if (escape === '\\\\') return '\\';
    assert.ok(code !== undefined, `a wrong escape: ${escape}`);
    return String.fromCodePoint(Number.parseInt(code, 16));
  });
}

const someName = fc.oneof(
  fc.string({ minLength: 1, unit: 'binary' }),
  fc.string({
    minLength: 1,
    unit: fc.constantFrom('"', '\\', "'", '\n', '\r', '\t', '+', 'é', '中', '🐘', ':', '$', 'a'),
  }),
);

describe('quoting', () => {
  it('gives a name in printable ASCII that means the same', () => {
    fc.assert(
      fc.property(someName, (name) => {
        const quoted = quoteIdentifierInAscii(name);
        assert.match(quoted, /^[\x20-\x7e]*$/);
        assert.equal(readIdentifier(quoted), name);
      }),
    );
  });

  it('gives a name as it is, whatever is in it', () => {
    fc.assert(fc.property(someName, (name) => assert.equal(readIdentifier(quoteIdentifier(name)), name)));
  });

  for (const [name, quoted] of [
    ['plain', '"plain"'],
    ['Order', '"Order"'],
    ['a "b"', '"a ""b"""'],
    [String.raw`C:\temp`, String.raw`"C:\temp"`],
    ['naïve', String.raw`U&"na\+0000efve"`],
    [String.raw`ü\"`, String.raw`U&"\+0000fc\\"""`],
    ['🐘', String.raw`U&"\+01f418"`],
    ['two\nlines', String.raw`U&"two\+00000alines"`],
  ] as const) {
    it(`writes ${JSON.stringify(name)} as ${quoted}`, () => assert.equal(quoteIdentifierInAscii(name), quoted));
  }

  for (const [text, quoted] of [
    ['plain', "'plain'"],
    ["it's", "'it''s'"],
    [String.raw`C:\temp`, String.raw`E'C:\\temp'`],
    [String.raw`\'`, String.raw`E'\\'''`],
  ] as const) {
    it(`writes the text ${text} as ${quoted}`, () => assert.equal(quoteLiteral(text), quoted));
  }
});
