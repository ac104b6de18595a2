import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { streamOf, type ByteStream } from '../../src/core/byte-stream.ts';
import { fanOut } from '../../src/pipeline/fan-out.ts';
import { readAll } from '../support/test-bytes.ts';

async function readSlowly(stream: ByteStream, hops: number): Promise<string> {
  const texts: string[] = [];
  for await (const chunk of stream) {
    // The producer may use the chunk again once all have asked for the next one: it must be intact until then.
    for (let hop = 0; hop < hops; hop += 1) await new Promise((resolve) => setImmediate(resolve));
    texts.push(Buffer.from(chunk).toString());
  }
  return texts.join('');
}

/** Overwrites every chunk when the next one is asked for. */
async function* reusing(...texts: readonly string[]): ByteStream {
  for (const text of texts) {
    const chunk = Buffer.from(text);
    yield chunk;
    chunk.fill(0x2e);
  }
}

describe('fanOut', () => {
  it('gives every consumer every byte, however fast each of them is', async () => {
    const branches = fanOut(reusing('one ', 'two ', 'three'), 3);
    const read = await Promise.all(branches.map(async (branch, index) => await readSlowly(branch, index * 3)));
    assert.deepEqual(read, ['one two three', 'one two three', 'one two three']);
  });

  it('goes on without a consumer that stops early', async () => {
    const [first, second] = fanOut(reusing('one ', 'two ', 'three'), 2);
    assert.ok(first && second);
    const leaving = (async () => {
      for await (const chunk of first) {
        assert.equal(Buffer.from(chunk).toString(), 'one ');
        break;
      }
    })();
    assert.equal(await readSlowly(second, 1), 'one two three');
    await leaving;
  });

  it('does not take a consumer that leaves while it waits for one that asks', async () => {
    const [gone, slow, quick] = fanOut(reusing('one ', 'two ', 'three'), 3);
    assert.ok(gone && slow && quick);
    const iterator = gone[Symbol.asyncIterator]();
    const pending = iterator.next();
    await iterator.return?.();
    assert.equal((await pending).done, true);
    const read = await Promise.all([readSlowly(slow, 5), readSlowly(quick, 0)]);
    assert.deepEqual(read, ['one two three', 'one two three']);
  });

  it('goes on without a consumer that never began', async () => {
    const [absent, reader] = fanOut(streamOf('one ', 'two'), 2);
    assert.ok(absent && reader);
    const reading = readSlowly(reader, 0);
    await absent[Symbol.asyncDispose]();
    assert.equal(await reading, 'one two');
  });

  it('stops the source when all have stopped', async () => {
    let isReleased = false;
    const source = (async function* () {
      try {
        for (;;) yield Buffer.from('more');
      } finally {
        isReleased = true;
      }
    })();
    const branches = fanOut(source, 2);
    const leave = async (branch: ByteStream): Promise<void> => {
      for await (const _ of branch) break;
    };
    await Promise.all(branches.map(leave));
    assert.equal(isReleased, true);
  });

  it("fails everybody with the source's own error, and whoever asks again", async () => {
    const failure = new Error('pg_dump died');
    const source = (async function* () {
      yield Buffer.from('half');
      throw failure;
    })();
    const branches = fanOut(source, 2);
    const outcomes = await Promise.allSettled(branches.map(async (branch) => await readAll(branch)));
    for (const outcome of outcomes) assert.equal(outcome.status === 'rejected' && outcome.reason, failure);
    await assert.rejects(readAll(branches[0] ?? streamOf()), /pg_dump died/);
  });
});
