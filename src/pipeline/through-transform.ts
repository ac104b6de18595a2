import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Stage } from '../core/byte-stream.ts';

/** A stage made of a Node stream. Errors of the source and of the transform reach the consumer; both are released. */
export function throughTransform(create: () => Transform): Stage {
  return async function* (source) {
    const transform = create();
    const feeding = pipeline(source, transform);
    feeding.catch(() => {}); // destroys the transform with the same error, which the loop below throws
    try {
      yield* transform as AsyncIterable<Uint8Array>;
    } finally {
      transform.destroy();
    }
    await feeding;
  };
}
