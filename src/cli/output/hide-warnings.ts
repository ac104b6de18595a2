/**
 * Keeps Node from printing warnings of these names. It has an option for it, `--disable-warning`, but only for its own
 * command line, which is not ours; the listener that prints is replaced instead. Nothing happens where there is none
 * (`--no-warnings`).
 */
export function hideWarnings(names: readonly string[]): void {
  const printers = process.listeners('warning');
  process.removeAllListeners('warning');
  for (const print of printers) {
    process.on('warning', (warning) => {
      if (!names.includes(warning.name)) print.call(process, warning);
    });
  }
}
