import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { collect, type ByteStream, type Stage } from '../../src/core/byte-stream.ts';
import { checkDigest } from '../../src/pipeline/digest.ts';
import { checkSize, holdLastBytes } from '../../src/pipeline/hold-last-bytes.ts';

const chunk = Buffer.from('0123456789abcdef'.repeat(256));
const chunks = 5;
const whole = Buffer.concat(Array.from({ length: chunks }, () => chunk));
const sha256 = createHash('sha256').update(whole).digest('hex');

/** Each chunk in the memory of the one before, as a producer may do it. */
async function* reusing(count = chunks): ByteStream {
  const buffer = Buffer.alloc(chunk.byteLength);
  for (let index = 0; index < count; index += 1) {
    chunk.copy(buffer);
    yield buffer;
    buffer.fill(0);
  }
}

async function* failing(): ByteStream {
  yield* reusing();
  throw new Error('the source broke');
}

/** What came through before the error, and the error. */
async function outcome(stage: Stage, source: ByteStream): Promise<{ bytes: number; error: unknown }> {
  let bytes = 0;
  try {
    for await (const part of stage(source)) bytes += part.byteLength;
  } catch (error) {
    return { bytes, error };
  }
  return { bytes, error: null };
}

describe('holding the last bytes back', () => {
  const good: Readonly<Record<string, Stage>> = {
    'nothing to check': holdLastBytes(),
    'the size': checkSize({ name: 'o', sizeBytes: whole.byteLength }),
    'the digest': checkDigest({ name: 'o', sizeBytes: whole.byteLength, sha256 }),
  };
  for (const [what, stage] of Object.entries(good)) {
    it(`passes all bytes on: ${what}`, async () => {
      assert.deepEqual(await collect(stage(reusing()), Infinity), whole);
    });

    it(`keeps some back where the source fails: ${what}`, async () => {
      const { bytes, error } = await outcome(stage, failing());
      assert.match(String(error), /the source broke/);
      assert.ok(bytes > 0 && bytes < whole.byteLength, `${bytes} bytes`);
    });
  }

  const wrong: Readonly<Record<string, { stage: Stage; message: RegExp }>> = {
    'a byte is missing': {
      stage: checkSize({ name: 'o', sizeBytes: whole.byteLength + 1 }),
      message: /^object "o" holds 20480 bytes of dump instead of 20481$/,
    },
    'a byte of the stored ones is missing': {
      stage: checkDigest({ name: 'o', sizeBytes: whole.byteLength + 1, sha256 }),
      message: /^object "o" is damaged: 20480 bytes instead of 20481$/,
    },
    'there are more stored bytes': {
      stage: checkDigest({ name: 'o', sizeBytes: whole.byteLength - 1, sha256 }),
      message: /^object "o" is damaged: more than 20479 bytes$/,
    },
    'the digest is another': {
      stage: checkDigest({ name: 'o', sizeBytes: whole.byteLength, sha256: sha256.replace(/^./, 'x') }),
      message: /^object "o" is damaged: its SHA-256 is not the one in the manifest$/,
    },
  };
  for (const [what, { stage, message }] of Object.entries(wrong)) {
    it(`never gives the last ones where ${what}`, async () => {
      const { bytes, error } = await outcome(stage, reusing());
      assert.equal((error as { kind?: string }).kind, 'integrity');
      assert.match((error as Error).message, message);
      assert.ok(bytes < whole.byteLength, `${bytes} bytes`);
    });
  }

  it('passes nothing on where there is nothing', async () => {
    assert.deepEqual(await outcome(checkSize({ name: 'o', sizeBytes: 0 }), reusing(0)), { bytes: 0, error: null });
  });
});
