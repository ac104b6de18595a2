import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { indexesOf, parseArchiveContents } from '../../src/postgres/archive-contents.ts';

/** As pg_restore 15 prints it with `--list --verbose`. */
function listing(...lines: readonly string[]): string {
  const count = lines.filter((line) => !line.startsWith(';')).length;
  return [
    ';',
    '; Archive created at 2026-11-28 21:09:37 UTC',
    ';     dbname: shop',
    `;     TOC Entries: ${count}`,
    ';     Dump Version: 1.14-0',
    ';',
    '; Selected TOC Entries:',
    ';',
    ...lines,
    '',
  ].join('\n');
}

const shop = [
  '4987; 0 0 ENCODING - ENCODING ',
  '214; 1259 16385 TABLE public orders anna',
  ';\tdepends on: 5',
  '220; 1259 25423 TABLE public items anna',
  '3300; 0 16385 TABLE DATA public orders anna',
  ';\tdepends on: 214',
  '4019; 2606 25430 CONSTRAINT public orders orders_pkey anna',
  ';\tdepends on: 214',
  '4017; 1259 16392 INDEX public orders_at_idx anna',
  ';\tdepends on: 214 214',
  '4018; 1259 16393 INDEX public orders_total_idx anna',
  ';\tdepends on: 214 77',
  '4440; 0 0 COMMENT public INDEX orders_at_idx anna',
  ';\tdepends on: 4017',
  '4020; 1259 16400 INDEX public items_idx anna',
  ';\tdepends on: 220',
  '4021; 0 0 INDEX ATTACH public orders_part_idx anna',
  ';\tdepends on: 214',
  '4434; 2606 25431 FK CONSTRAINT public items items_order_fkey anna',
  ';\tdepends on: 214 4019 220',
  '4435; 2620 25432 TRIGGER public orders note anna',
  ';\tdepends on: 214',
] as const;

function indexes(table: string, ...lines: readonly string[]): number[][] {
  const entries = parseArchiveContents(listing(...lines));
  return indexesOf({ schema: 'public', name: table }, entries ?? assert.fail('unreadable'));
}

describe('the indexes that can be built as soon as the rows of a table are there', () => {
  it('are those that depend on nothing but the table, with the comments on them', () => {
    assert.deepEqual(indexes('orders', ...shop), [[4019], [4017, 4440]]);
    assert.deepEqual(indexes('items', ...shop), [[4020]]);
    assert.deepEqual(indexes('others', ...shop), []);
  });

  it('are none where two tables could be meant', () => {
    assert.deepEqual(indexes('orders', ...shop, '221; 1259 25440 TABLE public orders old anna'), []);
    assert.deepEqual(indexes('orders old', ...shop, '221; 1259 25440 TABLE public orders old anna'), []);
  });

  it('are not those of tables whose data, or whose place in another one, is meant', () => {
    const lines = ['221; 0 25440 TABLE DATA public orders anna', '222; 0 0 TABLE ATTACH public orders anna'];
    assert.deepEqual(indexes('DATA', '1; 1259 3 TABLE public DATA anna', ...lines), []);
    assert.deepEqual(indexesOf({ schema: 'DATA', name: 'public' }, parseArchiveContents(listing(...lines)) ?? []), []);
  });
});

describe('a table of contents', () => {
  it('has every entry, whatever characters are in the names', () => {
    for (const character of ['\r', '\u2028', '\u2029', '\u0085', '\v', ';', '\t']) {
      const entries = parseArchiveContents(listing(...shop, `7; 1259 8 INDEX public a${character}b anna`));
      assert.equal(entries?.at(-1)?.id, 7);
      assert.equal(entries.length, shop.filter((line) => !line.startsWith(';')).length + 1);
    }
  });

  it('is unreadable where it does not have as many entries as it says', () => {
    const text = listing(...shop);
    assert.equal(parseArchiveContents(text.replace(/^4435;.*\n/m, '')), null);
    assert.equal(parseArchiveContents(text.replace(/^; +TOC Entries.*\n/m, '')), null);
    assert.equal(parseArchiveContents(''), null);
  });
});
