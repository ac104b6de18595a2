import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { describe, it } from 'node:test';
import { lowerPoolPriority } from '../../src/pipeline/pool-priority.ts';

const folder = '/proc/self/task';

describe('the threads that compress', { skip: process.platform !== 'linux' }, () => {
  it('give way to all others', async () => {
    // The pool starts its threads with the first work.
    await stat(folder);
    const threads = readdirSync(folder).map((id) => ({
      id: Number(id),
      isOfPool: readFileSync(`${folder}/${id}/comm`, 'utf8') === 'libuv-worker\n',
    }));
    const before = getPriority();
    lowerPoolPriority();
    assert.ok(threads.some(({ isOfPool }) => isOfPool));
    for (const { id, isOfPool } of threads) assert.equal(getPriority(id), isOfPool ? 10 : before, `thread ${id}`);
  });
});
