import { readFileSync } from 'node:fs';
import jsqr from 'jsqr';
import { PNG } from 'pngjs';

/** What the QR code in a picture holds, by a reader that has nothing in common with the program that drew it. */
export function readQrPng(path: string): Buffer {
  return decode(PNG.sync.read(readFileSync(path)));
}

export function readQrSvg(path: string): Buffer {
  return decode(rasterize(readFileSync(path, 'utf8')));
}

interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly data: Uint8Array;
}

function decode({ data, width, height }: Picture): Buffer {
  const code = jsqr.default(Uint8ClampedArray.from(data), width, height);
  if (code === null) throw new Error('no QR code is in the picture');
  return Buffer.from(code.binaryData);
}

const scale = 4;

/** Draws the one kind of picture that we write: rows of horizontal strokes, one unit high, on a white square. */
function rasterize(svg: string): Picture {
  const size = Number(/viewBox="0 0 (\d+) \1"/.exec(svg)?.[1]);
  const strokes = /stroke="#000000" d="([^"]+)"/.exec(svg)?.[1] ?? '';
  const side = size * scale;
  const data = new Uint8Array(side * side * 4).fill(255);
  let x = 0;
  let y = 0;
  for (const [, command, first = '', second = ''] of strokes.matchAll(/([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?/g)) {
    if (command === 'M') [x, y] = [Number(first), Math.floor(Number(second))];
    else if (command === 'm') x += Number(first);
    else {
      blacken({ data, side }, { x, y, length: Number(first) });
      x += Number(first);
    }
  }
  return { data, width: side, height: side };
}

function blacken(
  { data, side }: { readonly data: Uint8Array; readonly side: number },
  { x, y, length }: { readonly x: number; readonly y: number; readonly length: number },
): void {
  for (let row = y * scale; row < (y + 1) * scale; row += 1) {
    for (let column = x * scale; column < (x + length) * scale; column += 1) {
      data.fill(0, (row * side + column) * 4, (row * side + column) * 4 + 3);
    }
  }
}
