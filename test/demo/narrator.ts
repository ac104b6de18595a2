/** Prints the demo: numbered steps, command lines, what they said, what was proven. */
export class Narrator {
  #step = 0;
  #startedAt = performance.now();

  title(text: string, subtitle: string): void {
    console.log(`\n${bold(text)}\n${subtitle}`);
  }

  step(text: string): void {
    this.#step += 1;
    console.log(`\n${bold(`${this.#step}. ${text}`)}`);
  }

  text(text: string): void {
    console.log(indent(text));
  }

  command(line: string): void {
    console.log(indent(cyan(`$ ${line}`)));
  }

  /** What a command printed, and how long it took. */
  output(text: string, wallMs: number): void {
    const lines = text.trimEnd();
    if (lines !== '') console.log(indent(lines, 5));
    console.log(indent(dim(`(${formatSeconds(wallMs)})`), 5));
  }

  proof(text: string): void {
    console.log(indent(`${green('✓')} ${text}`));
  }

  end(text: string): void {
    console.log(`\n${bold(text)} ${dim(`(${formatSeconds(performance.now() - this.#startedAt)} in all)`)}\n`);
  }
}

const hasColours = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;

function paint(code: number): (text: string) => string {
  return (text) => (hasColours ? `\u001b[${code}m${text}\u001b[0m` : text);
}

const bold = paint(1);
const dim = paint(2);
const green = paint(32);
const cyan = paint(36);

function indent(text: string, width = 3): string {
  return text.replaceAll(/^/gm, ' '.repeat(width));
}

function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
