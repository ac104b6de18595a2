import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BackupError } from '../../src/core/backup-error.ts';
import { streamOf, type ByteStream } from '../../src/core/byte-stream.ts';
import type { PutOptions, StoredObject } from '../../src/storage/object-store.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { SweepStage } from '../support/sweep-stage.ts';
import { listAll } from '../support/test-bytes.ts';

/** Keeps what it is given, and says that it has failed where the key matches: the answer was lost for good. */
class LosesAnswers extends MemoryStore {
  readonly #lost: RegExp;

  constructor(lost: RegExp) {
    super();
    this.#lost = lost;
  }

  override async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    const stored = await super.put(key, body, options);
    if (this.#lost.test(key)) throw new BackupError('storage', 'the answer was lost');
    return stored;
  }
}

/** Has something of somebody else where the key matches. */
class Occupied extends MemoryStore {
  readonly #taken: RegExp;

  constructor(taken: RegExp) {
    super();
    this.#taken = taken;
  }

  override async put(key: string, body: ByteStream, options: PutOptions = {}): Promise<StoredObject> {
    if (this.#taken.test(key)) await super.put(key, streamOf('theirs'));
    return await super.put(key, body, options);
  }
}

describe('a create whose store has kept an object, and cannot say so', () => {
  let stage: SweepStage;
  before(async () => (stage = await SweepStage.open()));
  after(async () => await stage[Symbol.asyncDispose]());

  for (const [what, key] of [
    ['archive', /archive/],
    ['manifest', /manifest/],
  ] as const) {
    it(`leaves nothing when it was the ${what}`, async () => {
      const store = new LosesAnswers(key);
      await assert.rejects(stage.create(store, 'premade'), { kind: 'storage', message: 'the answer was lost' });
      assert.deepEqual(await listAll(store.list('')), []);
    });
  }

  it('leaves what is there of somebody else', async () => {
    const store = new Occupied(/archive/);
    await assert.rejects(stage.create(store, 'premade'), { kind: 'conflict' });
    assert.equal((await listAll(store.list(''))).length, 1);
  });

  for (const [what, key] of [
    ['archive', /archive/],
    ['manifest', /manifest/],
  ] as const) {
    it(`leaves nothing in another store when somebody else's ${what} is in one`, async () => {
      for (const occupiedFirst of [true, false]) {
        const occupied = new Occupied(key);
        const other = new MemoryStore();
        const stores = occupiedFirst ? [occupied, other] : [other, occupied];
        await assert.rejects(stage.create(stores, 'premade'), { kind: 'conflict' });
        assert.deepEqual(await listAll(other.list('')), []);
        assert.ok((await listAll(occupied.list(''))).some((object) => key.test(object.key)));
      }
    });
  }
});
