import type { ByteStream } from '../core/byte-stream.ts';

/**
 * The same bytes, but a source that hangs cannot hold its consumer: when the signal aborts, the pending step fails at
 * once with the signal's reason. The source is told to stop and not waited for, since a hanging one never answers.
 */
export async function* abortable(source: ByteStream, signal: AbortSignal | undefined): ByteStream {
  if (signal === undefined) {
    yield* source;
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  // One listener for the whole stream: racing each step against one promise would pile up reactions on it.
  let pending: PromiseWithResolvers<IteratorResult<Uint8Array>> | undefined;
  const onAbort = (): void => pending?.reject(signal.reason);
  signal.addEventListener('abort', onAbort);
  let hasEnded = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      pending = Promise.withResolvers();
      iterator.next().then(pending.resolve, (error: unknown) => {
        hasEnded = true;
        pending?.reject(error);
      });
      const step = await pending.promise;
      hasEnded ||= step.done === true;
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (!hasEnded) await stop(iterator, signal);
  }
}

async function stop(iterator: AsyncIterator<Uint8Array>, signal: AbortSignal): Promise<void> {
  const stopped = iterator.return?.();
  if (signal.aborted) stopped?.catch(() => {});
  else await stopped;
}
