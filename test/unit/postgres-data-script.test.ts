import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BackupError } from '../../src/core/backup-error.ts';
import { collect, streamOf } from '../../src/core/byte-stream.ts';
import {
  dataScriptLastLine,
  dataScriptPreamble,
  readDataPieces,
  tableInScript,
  toDataScript,
} from '../../src/postgres/data-script.ts';

const maxBytes = 1024 * 1024;
const shop = { schema: 'shop', name: 'order "x"' };
const odd = { schema: 'ärger', name: 'a\nb' };
const rowsOf = (table: typeof shop, rows: string) =>
  `COPY ${tableInScript(table)} ("a", "b") FROM stdin;\n${rows}\\.\n\n`;
const script = (...parts: readonly string[]) =>
  `${dataScriptPreamble('UTF8')}\n${parts.join('')}-- rows: 1 2\n${dataScriptLastLine}\n`;

async function read(
  text: string,
  cuts: readonly number[] = [],
  wanted: ReadonlySet<string> | null = null,
): Promise<string> {
  const bytes = Buffer.from(text, 'latin1');
  const places = [0, ...cuts.map((cut) => cut % (bytes.byteLength + 1)).toSorted((a, b) => a - b), bytes.byteLength];
  const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
  return (await collect(toDataScript(readDataPieces(streamOf(...chunks), { wanted })), maxBytes)).toString('latin1');
}

test('a data script passes as it is, however it is cut into chunks', async () => {
  const row = fc
    .array(fc.constantFrom('\\\\', '.', 'x', '\\n', '\t', '\\N', '\xe9'), { maxLength: 6 })
    .map((parts) => `${parts.join('')}\n`);
  const rows = fc.array(row, { maxLength: 5 }).map((lines) => lines.join(''));
  await fc.assert(
    fc.asyncProperty(rows, rows, fc.array(fc.nat(), { maxLength: 12 }), async (first, second, cuts) => {
      const text = script(rowsOf(shop, first), rowsOf(odd, second));
      assert.equal(await read(text, cuts), text);
      const one = await read(text, cuts, new Set([tableInScript(odd)]));
      assert.equal(one.includes(`FROM stdin;\n${second}\\.\n`), true);
      assert.equal(one.includes(tableInScript(shop)), false);
    }),
  );
});

test('every cut of one byte is read the same', async () => {
  const text = script(rowsOf(shop, 'a\t\\\\.\n\\\\.\n'), rowsOf(odd, ''));
  for (let size = 1; size < 5; size += 1) {
    const cuts = Array.from({ length: Math.ceil(text.length / size) }, (_, index) => index * size);
    assert.equal(await read(text, cuts), text);
  }
});

test('tables to be frozen are emptied first', async () => {
  const frozen = new Set([tableInScript(odd)]);
  const source = streamOf(script(rowsOf(shop, 'a\tb\n'), rowsOf(odd, 'c\td\n')));
  const text = (await collect(toDataScript(readDataPieces(source, { frozen })), maxBytes)).toString('latin1');
  const name = tableInScript(odd);
  const expected = `TRUNCATE ONLY ${name};\nCOPY ${name} ("a", "b") FROM stdin WITH (FREEZE);\nc\td\n`;
  assert.equal(text, script(rowsOf(shop, 'a\tb\n'), rowsOf(odd, 'c\td\n')).replace(/COPY U&.*\nc\td\n/, expected));
});

/** With what the script is expected to have. */
async function readExpecting(text: string, rows: ReadonlyMap<string, number | null>, cut: number): Promise<string> {
  const bytes = Buffer.from(text, 'latin1');
  const chunks = streamOf(bytes.subarray(0, cut), bytes.subarray(cut));
  return (await collect(toDataScript(readDataPieces(chunks, { rows })), maxBytes)).toString('latin1');
}

test('a data script passes with the rows that it must have, and with none of them missing, added or uncounted', async () => {
  const text = script(rowsOf(shop, 'a\tb\n'), rowsOf(odd, 'c\t\\n\nd\te\n'));
  const [first, second] = [tableInScript(shop), tableInScript(odd)];
  const refused: readonly (readonly [ReadonlyMap<string, number | null>, RegExp])[] = [
    [
      new Map([
        [first, 2],
        [second, 2],
      ]),
      /^1 rows of table .* came back, but 2 were backed up$/,
    ],
    [
      new Map([
        [first, 1],
        [second, 1],
      ]),
      /^2 rows of table .* came back, but 1 were backed up$/,
    ],
    [new Map([[first, 1]]), /it has rows of table U&.* that it should not have$/],
    [
      new Map([
        [first, 1],
        [second, null],
        ['"x"."y"', null],
      ]),
      /it does not have the rows of table "x"\."y"$/,
    ],
  ];
  for (let cut = 0; cut <= text.length; cut += 7) {
    for (const count of [2, null])
      assert.equal(
        await readExpecting(
          text,
          new Map([
            [first, 1],
            [second, count],
          ]),
          cut,
        ),
        text,
      );
    for (const [rows, message] of refused) {
      await assert.rejects(readExpecting(text, rows, cut), { kind: 'integrity', message });
    }
  }
  const twice = script(rowsOf(shop, 'a\tb\n'), rowsOf(shop, 'a\tb\n'));
  await assert.rejects(readExpecting(twice, new Map([[first, 1]]), 0), {
    kind: 'integrity',
    message: /should not have$/,
  });
});

const good = script(rowsOf(shop, 'a\tb\n'));
const hostile: Readonly<Record<string, string>> = {
  'a command of psql between the tables': good.replace('-- rows', '\\! touch /tmp/x\n-- rows'),
  'a statement': good.replace('-- rows', 'DROP TABLE x;\n-- rows'),
  'a COPY from a program': good.replace(/COPY .* FROM stdin/, `COPY "a"."b" ("c") FROM PROGRAM 'x'`),
  'two statements in the line of a COPY': good.replace('FROM stdin;', 'FROM stdin; DROP TABLE x;'),
  'an end mark with a carriage return, which psql takes': good.replace('a\tb\n', 'a\tb\n\\.\r\n\\! id\n'),
  'an end mark with something behind it': good.replace('a\tb\n', '\\.x\n'),
  'an encoding with a quote': good.replace("'UTF8'", "'x'; DROP TABLE x; --'"),
  'a name whose last byte hides a quote in another encoding': good
    .replace("'UTF8'", "'SJIS'")
    .replace(tableInScript(shop), String.raw`"a${'\x83'}"."\! touch x "`),
  'no last line': good.slice(0, -dataScriptLastLine.length - 1),
  'a last line cut off': good.slice(0, -1),
  'an end inside of rows': good.slice(0, good.indexOf('\tb')),
  'something after the last line': `${good}SELECT 1;\n`,
  nothing: '',
};

for (const [what, text] of Object.entries(hostile)) {
  test(`a data script is refused for ${what}`, async () => {
    await assert.rejects(read(text), (error) => error instanceof BackupError && error.kind === 'integrity');
    await assert.rejects(
      read(
        text,
        Array.from({ length: text.length }, (_, index) => index),
      ),
      BackupError,
    );
  });
}
