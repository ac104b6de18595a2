import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { freeChunk } from '../../src/core/free-chunk.ts';

describe('freeing a chunk', () => {
  it('gives its memory back', () => {
    const chunk = Buffer.alloc(1024 * 1024, 1);
    freeChunk(chunk.subarray(10, 20));
    assert.equal(chunk.byteLength, 0);
  });

  it('leaves the pool alone that small buffers share', () => {
    const [first, second] = [Buffer.from('first'), Buffer.from('second')];
    freeChunk(first);
    assert.deepEqual([first.toString(), second.toString()], ['first', 'second']);
  });
});
