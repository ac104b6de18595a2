import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BackupError } from '../../src/core/backup-error.ts';
import { collect, streamOf, type ByteStream } from '../../src/core/byte-stream.ts';
import { withoutTransaction } from '../../src/postgres/script-stages.ts';

const head = `--
-- PostgreSQL database dump
--

\\restrict aBc123

-- Dumped from database version 15.18

`;
const tail = `

--
-- PostgreSQL database dump complete
--

\\unrestrict aBc123

`;
/** A function with the very lines that the script itself has around it, as its last object. */
const awkward = `SET statement_timeout = 0;
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$
BEGIN;
COMMIT;
$$;

`;
const filler = (bytes: number) => 'SELECT 1;\n'.repeat(Math.ceil(bytes / 10));

interface Script {
  readonly body: string;
  readonly head?: string;
  readonly tail?: string;
}

const whole = (script: Script) => `${script.head ?? head}BEGIN;\n\n${script.body}COMMIT;\n${script.tail ?? tail}`;
const expected = (script: Script) => `${script.head ?? head}\n${script.body}${script.tail ?? tail}`;

async function read(stream: ByteStream): Promise<string> {
  return (await collect(withoutTransaction(stream), 1024 * 1024)).toString('latin1');
}

function inChunks(text: string, sizeBytes: number): ByteStream {
  const bytes = Buffer.from(text, 'latin1');
  const count = Math.ceil(bytes.byteLength / sizeBytes);
  return streamOf(
    ...Array.from({ length: count }, (_, index) => bytes.subarray(index * sizeBytes, (index + 1) * sizeBytes)),
  );
}

/** As long as what is held for the head and for the tail, and around it. */
const sizes = [0, 4_000, 4_096, 4_200, 16_000, 16_384, 16_500, 20_480, 40_000];

describe('a script of pg_restore without its transaction', () => {
  it('has neither the first BEGIN nor the last COMMIT, and everything else, wherever it is cut', async () => {
    const script = { body: `${filler(300)}${awkward}` };
    const text = whole(script);
    for (let cut = 0; cut <= text.length; cut += 1) {
      assert.equal(await read(streamOf(text.slice(0, cut), text.slice(cut))), expected(script), `cut at ${cut}`);
    }
  });

  for (const size of sizes) {
    it(`is the same in chunks of any size, with ${size} bytes in the middle`, async () => {
      const script = { body: `${awkward}${filler(size)}${awkward}` };
      for (const chunk of [1_000, 4_095, 4_096, 16_383, 16_384, 65_536]) {
        assert.equal(await read(inChunks(whole(script), chunk)), expected(script), `chunks of ${chunk}`);
      }
      assert.equal(await read(inChunks(whole(script), 1)), expected(script), 'byte by byte');
    });
  }

  it('keeps bytes that are no characters', async () => {
    const script = { body: "SELECT '\xe9\xff';\n" };
    assert.equal(await read(streamOf(Buffer.from(whole(script), 'latin1'))), expected(script));
  });

  it('may have nothing in it', async () => {
    assert.equal(await read(streamOf(whole({ body: '' }))), expected({ body: '' }));
  });

  it('takes scripts of versions that write no restrict lines', async () => {
    const script = { head: '--\n-- PostgreSQL database dump\n--\n\n', body: awkward, tail: '' };
    assert.equal(await read(streamOf(whole(script))), expected(script));
  });

  for (const [what, text] of Object.entries({
    'without its BEGIN': `${head}SELECT 1;\nCOMMIT;\n${tail}`,
    'whose BEGIN comes after a statement': `${head}SELECT 1;\nBEGIN;\nCOMMIT;\n${tail}`,
    'without its COMMIT': `${head}BEGIN;\n\nSELECT 1;\n${tail}`,
    'that is cut off': whole({ body: filler(50_000) }).slice(0, -200),
    'that is empty': '',
  })) {
    it(`fails for a script ${what}`, async () => {
      await assert.rejects(read(streamOf(text)), (error) => error instanceof BackupError && error.kind === 'postgres');
    });
  }
});
