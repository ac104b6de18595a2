import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toMessage } from '../../src/postgres/script-message.ts';

const settings = `SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
`;
const head = '--\n-- PostgreSQL database dump\n--\n\n';
const body = `\nCREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\n\\restrict abc\nSELECT 'é';\n$$;\n`;
const tail = '\n--\n-- PostgreSQL database dump complete\n--\n\n';
const message = (text: string) => toMessage(Buffer.from(text));

describe('a script of pg_restore as one message', () => {
  it('is the script', () => {
    assert.equal(message(head + settings + body + tail), head + settings + body + tail);
  });

  it('has no commands for psql, but all that looks like them elsewhere', () => {
    const text = `${head}\\restrict Xy9\n\n${settings}${body}${tail}\\unrestrict Xy9\n\n`;
    assert.equal(message(text), `${head}\n${settings}${body}${tail}`);
  });

  for (const [what, text] of Object.entries({
    'in another encoding': (head + settings + body).replace("'UTF8'", "'LATIN1'"),
    'with other rules for strings': (head + settings + body).replace('strings = on', 'strings = off'),
    'without its settings': head + body,
    large: `${head}${settings}${'-- x\n'.repeat(220_000)}`,
    'with an end that is not that of its beginning': `${head}\\restrict Xy9\n${settings}${body}${tail}\\unrestrict Xy8\n`,
    'with a zero byte': `${head}${settings}SELECT '\0';\n`,
  })) {
    it(`is not to be had ${what}`, () => assert.equal(message(text), null));
  }

  it('is not to be had of bytes that are no UTF-8', () => {
    assert.equal(toMessage(Buffer.concat([Buffer.from(head + settings), Buffer.of(0xe4, 0x0a)])), null);
  });
});
