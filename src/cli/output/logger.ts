import type { Log } from '../../core/log.ts';

const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export type LogLevel = (typeof levels)[number];

export interface LogSettings {
  readonly logLevel: LogLevel;
  readonly logFormat: 'pretty' | 'json';
}

/** Log lines go to stderr at once, so that none is lost in a crash: pino's JSON, or plain lines for people and cron mail. */
export async function createLogger({ logLevel, logFormat }: LogSettings): Promise<Log> {
  return logFormat === 'json' ? await createJsonLogger(logLevel) : createPlainLogger(logLevel);
}

/** pino costs 30 ms to load, which only who asked for it should pay. */
async function createJsonLogger(level: LogLevel): Promise<Log> {
  const { pino } = await import('pino');
  const destination = pino.destination({ dest: 2, sync: true });
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const write = (of: 'debug' | 'info' | 'warn') => (fields: object, message: string) => logger[of](fields, message);
  return { debug: write('debug'), info: write('info'), warn: write('warn') };
}

function createPlainLogger(level: LogLevel): Log {
  const write = (of: LogLevel) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    if (levels.indexOf(of) >= levels.indexOf(level)) process.stderr.write(toLine(of, fields, message));
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn') };
}

/** `librelog-backup: warn: message (name=value …)`. */
function toLine(level: LogLevel, fields: Readonly<Record<string, unknown>>, message: string): string {
  const details = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
  const suffix = details.length === 0 ? '' : ` (${details.join(' ')})`;
  return `librelog-backup: ${level}: ${message}${suffix}\n`;
}
