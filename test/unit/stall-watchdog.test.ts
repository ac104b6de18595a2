import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { type ByteStream, streamOf } from '../../src/core/byte-stream.ts';
import { WatchedInput } from '../../src/crypto/stall-watchdog.ts';

const stalled = (): Error => new Error('stalled');
const never = new Promise<never>(() => {});

async function* slow(): ByteStream {
  await setTimeout(150);
  yield Buffer.from('late');
}

describe('WatchedInput.guard', () => {
  it('rejects work that neither asks for input nor ends', async () => {
    const input = new WatchedInput(streamOf('data'));
    await assert.rejects(input.guard(never, 20, stalled), { message: 'stalled' });
  });

  it('rejects work that hangs after it has got all input', async () => {
    const input = new WatchedInput(streamOf('data'));
    const work = (async () => {
      const reader = input.stream.getReader();
      while (!(await reader.read()).done);
      return await never;
    })();
    await assert.rejects(input.guard(work, 20, stalled), { message: 'stalled' });
  });

  it('waits as long as the source lets the work wait', async () => {
    const input = new WatchedInput(slow());
    const { value } = await input.guard(input.stream.getReader().read(), 20, stalled);
    assert.equal(Buffer.from(value ?? '').toString(), 'late');
  });

  it('passes on what the work gives or throws', async () => {
    const input = new WatchedInput(streamOf());
    assert.equal(await input.guard(Promise.resolve(7), 20, stalled), 7);
    await assert.rejects(input.guard(Promise.reject(new Error('no')), 20, stalled), { message: 'no' });
  });
});

describe('WatchedInput', () => {
  it('remembers the error of its source', async () => {
    const cause = new Error('gone');
    async function* failing(): ByteStream {
      yield Buffer.from('a');
      throw cause;
    }
    const input = new WatchedInput(failing());
    const reader = input.stream.getReader();
    await reader.read();
    await assert.rejects(reader.read());
    assert.equal(input.failure?.error, cause);
  });

  it('releases its source, and does not wait for one that is busy', async () => {
    let released = 0;
    async function* source(delayMs: number): ByteStream {
      try {
        yield Buffer.from('a');
        await setTimeout(delayMs);
        yield Buffer.from('b');
      } finally {
        released += 1;
      }
    }
    const idle = new WatchedInput(source(0));
    await idle.stream.getReader().read();
    await idle.close();
    assert.equal(released, 1);
    const busy = new WatchedInput(source(100));
    const reader = busy.stream.getReader();
    await reader.read();
    const pending = reader.read();
    await setTimeout(10);
    await busy.close();
    assert.equal(released, 1);
    await pending;
    await setTimeout(150);
    assert.equal(released, 2);
  });
});
