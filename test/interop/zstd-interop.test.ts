import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { compressionFrameBytes } from '../../src/core/compression.ts';
import { digest, pack, sample, unpack } from '../support/compressed-bytes.ts';

const frame = compressionFrameBytes;
const maxBuffer = 64 * 1024 * 1024;

describe('stock zstd and gzip', () => {
  it('read what we write', async () => {
    const bytes = sample(2 * frame + 99);
    assert.equal(digest(execFileSync('zstd', ['-dc'], { input: await pack(bytes), maxBuffer })), digest(bytes));
    assert.equal(
      digest(execFileSync('gunzip', ['-c'], { input: await pack(bytes, 'gzip'), maxBuffer })),
      digest(bytes),
    );
  });

  it('write what we read: a large frame of unknown size, frames in a row, skippable frames, gzip members', async () => {
    const bytes = sample(frame + 5);
    const streamed = execFileSync('zstd', ['-c', '-3'], { input: bytes, maxBuffer });
    const skippable = Buffer.from('532a4d1803000000616263', 'hex');
    const back = await unpack(Buffer.concat([streamed, skippable, streamed, await pack(bytes), streamed]));
    assert.equal(digest(back), digest(Buffer.concat([bytes, bytes, bytes, bytes])));
    const member = execFileSync('gzip', ['-c'], { input: bytes, maxBuffer });
    assert.equal(digest(await unpack(Buffer.concat([member, member]), 'gzip')), digest(Buffer.concat([bytes, bytes])));
  });
});
