import pino from 'pino';
import type { Log } from '../../core/log.ts';

export interface LogSettings {
  readonly logLevel?: string | undefined;
  readonly logFormat?: 'pretty' | 'json' | undefined;
}

/** pino to stderr, written at once so that no line is lost in a crash; the plain form is for people and for cron mail. */
export function createLogger(settings: LogSettings): Log {
  const level = settings.logLevel ?? 'info';
  if (settings.logFormat === 'json') {
    return pino(
      { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
      pino.destination({ dest: 2, sync: true }),
    );
  }
  return pino({ level, base: null }, { write: (line: string) => void process.stderr.write(toPlainLine(line)) });
}

/** `librelog-backup: warn: message (name=value …)`. */
function toPlainLine(line: string): string {
  const { level, msg, time: _time, ...fields } = JSON.parse(line) as { level: number; msg: string; time: number };
  const details = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
  const suffix = details.length === 0 ? '' : ` (${details.join(' ')})`;
  return `librelog-backup: ${pino.levels.labels[level] ?? 'log'}: ${msg}${suffix}\n`;
}
