/** A number of bytes from the beginning of the head on, or the byte in the middle of the body. */
export type Place = number | 'mid-body';

/** One HTTP/1.1 message (RFC 9112) on its way through a proxy: just enough of it to find its body. */
export class HttpPassage {
  readonly #hasBody: boolean;
  #passedBytes = 0;
  #head = '';
  /** `null` when there is no body. */
  #middle: number | null | undefined;

  /** `hasBody`: `false` for the answer to a HEAD request, whose head speaks of a body that does not come. */
  constructor(hasBody: boolean) {
    this.#hasBody = hasBody;
  }

  get passedBytes(): number {
    return this.#passedBytes;
  }

  take(chunk: Buffer): void {
    this.#passedBytes += chunk.byteLength;
    if (this.#middle !== undefined) return;
    this.#head += chunk.toString('latin1');
    this.#middle = findMiddle(this.#head);
    if (this.#middle !== undefined) this.#head = '';
  }

  /** The place as a number of bytes; `null` when the message does not have it, or has not shown it yet. */
  locate(place: Place): number | null {
    if (place !== 'mid-body') return place;
    return this.#hasBody ? (this.#middle ?? null) : null;
  }
}

/** Middle of the body, or of its first chunk where it is chunked; `undefined` while the head is not complete. */
function findMiddle(text: string): number | null | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const head = text.slice(0, end);
  const bodyStart = end + 4;
  if (/^transfer-encoding:.*\bchunked\b/im.test(head)) {
    const [sizeLine, size = ''] = /^([0-9a-f]+)[^\r\n]*\r\n/i.exec(text.slice(bodyStart)) ?? [];
    if (sizeLine === undefined) return undefined;
    const bytes = Number.parseInt(size, 16);
    return bytes === 0 ? null : bodyStart + sizeLine.length + Math.floor(bytes / 2);
  }
  const bytes = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  return bytes === 0 ? null : bodyStart + Math.floor(bytes / 2);
}
