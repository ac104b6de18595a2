import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  findLeftovers,
  removeLeftovers,
  selectLeftovers,
  type StoreContents,
} from '../../src/backup/find-leftovers.ts';
import { streamOf } from '../../src/core/byte-stream.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { quietContext } from '../support/quiet-context.ts';
import { listAll } from '../support/test-bytes.ts';

const id = '20261123T231405Z-7f3a9c';
const otherId = '20261124T231405Z-000000';
const long = new Date('2026-11-23T23:20:00Z');
const limit = new Date('2026-11-24T00:00:00Z');
const lately = new Date('2026-11-24T00:00:01Z');

type Entry = readonly [key: string, changedAt: Date];

function contents(objects: readonly Entry[], unfinished: readonly Entry[] = []): StoreContents {
  return {
    objects: objects.map(([key, modifiedAt]) => ({ key, sizeBytes: 1, modifiedAt })),
    unfinished: unfinished.map(([key, lastActiveAt], index) => ({ key, id: String(index), lastActiveAt })),
  };
}

function keysOf(found: {
  readonly objects: readonly { key: string }[];
  readonly unfinished: readonly { key: string }[];
}) {
  return [...found.objects.map(({ key }) => key), ...found.unfinished.map(({ key }) => `unfinished ${key}`)];
}

describe('selectLeftovers', () => {
  const cases: readonly { name: string; given: StoreContents; expected: readonly string[] }[] = [
    {
      name: 'takes objects without a manifest',
      given: contents([
        [`shop/${id}/archive.dump.aes`, long],
        [`shop/${id}/contents.json.aes`, long],
      ]),
      expected: [`shop/${id}/archive.dump.aes`, `shop/${id}/contents.json.aes`],
    },
    {
      name: 'takes unfinished uploads, with and without a manifest',
      given: contents(
        [[`shop/${id}/manifest.json`, long]],
        [
          [`shop/${id}/archive.dump.aes`, long],
          [`shop/${otherId}/archive.dump.aes`, long],
        ],
      ),
      expected: [`unfinished shop/${id}/archive.dump.aes`, `unfinished shop/${otherId}/archive.dump.aes`],
    },
    {
      name: 'keeps every object beside a manifest',
      given: contents([
        [`shop/${id}/archive.dump.aes`, long],
        [`shop/${id}/manifest.json`, long],
        [`shop/${id}/somebody-elses.txt`, long],
      ]),
      expected: [],
    },
    {
      name: 'takes later revisions of a manifest whose first one is gone, and keeps them beside it',
      given: contents([
        [`shop/${id}/archive.dump.aes`, long],
        [`shop/${id}/manifest.2.json`, long],
        [`shop/${otherId}/manifest.2.json`, long],
        [`shop/${otherId}/manifest.json`, long],
      ]),
      expected: [`shop/${id}/archive.dump.aes`, `shop/${id}/manifest.2.json`],
    },
    {
      name: 'tells labels and ids apart',
      given: contents([
        [`shop/${id}/archive.dump.aes`, long],
        [`shop/${otherId}/manifest.json`, long],
        [`blog/${id}/manifest.json`, long],
      ]),
      expected: [`shop/${id}/archive.dump.aes`],
    },
    {
      name: 'keeps all of a folder in which an object has changed lately',
      given: contents(
        [
          [`shop/${id}/data-001.dump.aes`, long],
          [`shop/${id}/data-002.dump.aes`, lately],
        ],
        [[`shop/${id}/data-003.dump.aes`, long]],
      ),
      expected: [],
    },
    {
      name: 'keeps all of a folder in which an upload has grown lately',
      given: contents([[`shop/${id}/data-001.dump.aes`, long]], [[`shop/${id}/data-002.dump.aes`, lately]]),
      expected: [],
    },
    {
      name: 'takes what has been silent since exactly then',
      given: contents([[`shop/${id}/archive.dump.aes`, limit]]),
      expected: [`shop/${id}/archive.dump.aes`],
    },
    {
      name: 'keeps what is not in the folder of a backup',
      given: contents(
        [
          ['shop', long],
          [`${id}/archive.dump.aes`, long],
          ['shop/archive.dump.aes', long],
          ['shop/20261123/archive.dump.aes', long],
          [`shop/${id}x/archive.dump.aes`, long],
          [`shop/${id}/deeper/archive.dump.aes`, long],
          [`above/shop/${id}/archive.dump.aes`, long],
        ],
        [
          ['photos/holiday.jpg', long],
          [`above/shop/${id}/archive.dump.aes`, long],
        ],
      ),
      expected: [],
    },
  ];
  for (const { name, given, expected } of cases) {
    it(name, () => assert.deepEqual(keysOf(selectLeftovers(given, limit)), expected));
  }
});

describe('findLeftovers', () => {
  it('finds what is older than asked for, below one label or everywhere, and removes it alone', async () => {
    const store = new MemoryStore();
    const keep = [`shop/${otherId}/archive.dump.aes`, `shop/${otherId}/manifest.json`, 'notes.txt'];
    const leave = [`shop/${id}/archive.dump.aes`, `blog/${id}/archive.dump.aes`];
    for (const key of [...keep, ...leave]) await store.put(key, streamOf('x'));
    const inTwoHours = { ...quietContext(), now: () => new Date(Date.now() + 2 * 3600_000) };
    const find = async (minAgeMs: number, label?: string) =>
      await findLeftovers({ store, minAgeMs, label }, inTwoHours);
    assert.deepEqual(keysOf(await find(3 * 3600_000)), []);
    assert.deepEqual(keysOf(await find(3600_000, 'blog')), [`blog/${id}/archive.dump.aes`]);
    const found = await find(3600_000);
    assert.deepEqual(keysOf(found), leave);
    await removeLeftovers(store, found, inTwoHours);
    await removeLeftovers(store, found, inTwoHours);
    assert.deepEqual(
      (await listAll(store.list(''))).map(({ key }) => key),
      keep,
    );
  });
});
