export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The smallest and the largest of the values that `value` stands for. */
  readonly range: readonly [number, number];
  readonly isOurs: boolean;
}

export interface BarChart {
  readonly title: string;
  readonly bars: readonly Bar[];
  readonly format: (value: number) => string;
}

export interface Curve {
  readonly label: string;
  /** By x. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** x and y are in the same unit, so that `y = x` is the best there is. */
export interface CurveChart {
  readonly title: string;
  readonly xTitle: string;
  readonly curves: readonly Curve[];
  readonly format: (value: number) => string;
}

const width = 760;
const margin = 16;
const titleHeight = 40;

/** One bar below the other, each with its label above it and its value behind it; a thin line shows the range. */
export function drawBars({ title, bars, format }: BarChart): string {
  const rowHeight = 44;
  const room = width - 2 * margin - 70;
  const scale = room / Math.max(...bars.map(({ value, range }) => Math.max(value, ...range)));
  const rows = bars.flatMap(({ label, value, range: [low, high], isOurs }, index) => {
    const top = titleHeight + index * rowHeight;
    const end = margin + Math.max(value, high) * scale;
    return [
      text(label, { x: margin, y: top + 14 }),
      `<rect class="${isOurs ? 'ours' : 'other'}" x="${margin}" y="${top + 20}" width="${place(value * scale)}" height="14"/>`,
      line([margin + low * scale, top + 27], [margin + high * scale, top + 27], 'range'),
      text(format(value), { x: end + 6, y: top + 31.5, class: 'value' }),
    ];
  });
  return svg(title, titleHeight + bars.length * rowHeight + margin, rows);
}

/** Curves over the number of something, and dashed what would be perfect. */
export function drawCurves({ title, xTitle, curves, format }: CurveChart): string {
  const height = 420;
  const [left, right, top, bottom] = [52, width - 120, titleHeight + 10, height - 56];
  const ticks = [...new Set(curves.flatMap(({ points }) => points.map(([x]) => x)))].toSorted((a, b) => a - b);
  const most = Math.max(...ticks, ...curves.flatMap(({ points }) => points.map(([, y]) => y)));
  const toX = (x: number) => left + (x / Math.max(...ticks)) * (right - left);
  const toY = (y: number) => bottom - (y / most) * (bottom - top);
  const path = (points: Curve['points'], kind: string) =>
    `<polyline class="${kind}" points="${points.map(([x, y]) => `${place(toX(x))},${place(toY(y))}`).join(' ')}"/>`;
  const axes = ticks.flatMap((tick) => [
    line([left, toY(tick)], [right, toY(tick)], 'grid'),
    text(format(tick), { x: left - 8, y: toY(tick) + 4, anchor: 'end' }),
    text(String(tick), { x: toX(tick), y: bottom + 20, anchor: 'middle' }),
  ]);
  const drawn = curves.flatMap(({ label, points }, index) => {
    const [lastX = 0, lastY = 0] = points.at(-1) ?? [];
    // Labels of curves that end at the same height do not lie on each other.
    const labelY = toY(lastY) + 4 + (index % 2 === 0 ? -8 : 8);
    return [
      path(points, `curve curve-${index + 1}`),
      ...points.map(
        ([x, y]) =>
          `<circle class="dot-${index + 1}" cx="${place(toX(x))}" cy="${place(toY(y))}" r="4"><title>${escape(`${label}, ${x}: ${format(y)}`)}</title></circle>`,
      ),
      text(`${label} ${format(lastY)}`, { x: toX(lastX) + 10, y: labelY, class: `value text-${index + 1}` }),
    ];
  });
  const ideal = ticks.map((tick) => [tick, tick] as const);
  const below = text(xTitle, { x: (left + right) / 2, y: bottom + 44, anchor: 'middle' });
  return svg(title, height, [...axes, below, path(ideal, 'ideal'), ...drawn]);
}

/** Colours for both schemes; the page behind shows through. */
const style = `text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.value { font-weight: 600; }
.ours, .dot-1 { fill: #0b6e4f; }
.other { fill: #9aa4af; }
.dot-2 { fill: #b45309; }
.text-1 { fill: #0b6e4f; }
.text-2 { fill: #b45309; }
.range { stroke: #1f2328; }
.grid { stroke: #d0d7de; }
polyline { fill: none; stroke-width: 2; }
.curve-1 { stroke: #0b6e4f; }
.curve-2 { stroke: #b45309; }
.ideal { stroke: #818b98; stroke-dasharray: 5 5; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.range { stroke: #e6edf3; }
.ours, .dot-1, .text-1 { fill: #3fb98a; }
.other { fill: #59636e; }
.dot-2, .text-2 { fill: #e3a13a; }
.grid { stroke: #3d444d; }
.curve-1 { stroke: #3fb98a; }
.curve-2 { stroke: #e3a13a; }
}`;

function svg(title: string, height: number, content: readonly string[]): string {
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${style}</style>`,
    text(title, { x: margin, y: 24, class: 'title' }),
    ...content,
    '</svg>',
  ];
  return `${lines.join('\n')}\n`;
}

interface TextPlace {
  readonly x: number;
  readonly y: number;
  readonly class?: string;
  readonly anchor?: 'middle' | 'end';
}

function text(content: string, { x, y, class: kind, anchor }: TextPlace): string {
  const attributes = [
    ...(kind === undefined ? [] : [`class="${kind}"`]),
    ...(anchor === undefined ? [] : [`text-anchor="${anchor}"`]),
    `x="${place(x)}" y="${place(y)}"`,
  ];
  return `<text ${attributes.join(' ')}>${escape(content)}</text>`;
}

function line(from: readonly [number, number], to: readonly [number, number], kind: string): string {
  const [[x1, y1], [x2, y2]] = [from.map(place), to.map(place)];
  return `<line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
}

/** Tenths of a pixel are enough, and the same everywhere. */
function place(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
