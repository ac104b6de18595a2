import type { Transform } from 'node:stream';
import type { ByteStream, Stage } from '../core/byte-stream.ts';

/** A stage made of a Node stream. Errors of the source and of the transform reach the consumer; both are released. */
export function throughTransform(create: () => Transform): Stage {
  return async function* (source) {
    const transform = create();
    const feeding = feed(source, transform);
    feeding.catch((error: unknown) => transform.destroy(error as Error)); // which the loop below throws
    try {
      yield* transform as AsyncIterable<Uint8Array>;
    } finally {
      transform.destroy();
    }
    await feeding;
  };
}

/** `pipeline` would ask for the next chunk while this one waits for its turn; but then it is its producer's again. */
async function feed(source: ByteStream, transform: Transform): Promise<void> {
  for await (const chunk of source) {
    await new Promise<void>((resolve, reject) => {
      // It would not call back when its consumer leaves, nor when it is at its end and there is more.
      const onClose = () => reject(new Error('something follows its end'));
      transform.once('close', onClose);
      transform.write(chunk, (error) => {
        transform.off('close', onClose);
        if (error) reject(error);
        else resolve();
      });
    });
  }
  transform.end();
}
