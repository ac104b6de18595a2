import type { Row, Session } from './session.ts';

/** How a database sorts and compares text. */
export interface DatabaseLocale {
  readonly encoding: string;
  /** `LC_COLLATE` and `LC_CTYPE`. */
  readonly collate: string;
  readonly ctype: string;
  /** Where it is not the C library: who does it instead, by which locale, and with which rules besides. */
  readonly localeProvider?: 'icu' | 'builtin' | undefined;
  readonly locale?: string | undefined;
  readonly icuRules?: string | undefined;
}

export interface ServerInfo extends DatabaseLocale {
  /** Without the packager's addition: `15.18`. */
  readonly version: string;
  readonly major: number;
  /** `server_version_num`: 150018. */
  readonly versionNum: number;
  readonly database: string;
  /** `pg_database_size`. */
  readonly sizeBytes: number;
  readonly inRecovery: boolean;
  /** By the server's clock. */
  readonly at: Date;
}

interface InfoRow extends Row {
  readonly version: string;
  readonly versionNum: number;
  readonly database: string;
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
  readonly sizeBytes: number;
  readonly inRecovery: boolean;
  readonly epochMs: number;
  readonly provider: string | null;
  readonly locale: string | null;
  readonly icuRules: string | null;
}

/** Columns that came with PostgreSQL 15, 16 and 17 are read by their names, or are null. */
const infoSql = `
  SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
    current_setting('server_version_num')::int AS "versionNum",
    datname AS database,
    pg_encoding_to_char(encoding) AS encoding,
    datcollate AS collate,
    datctype AS ctype,
    to_jsonb(d) ->> 'datlocprovider' AS provider,
    coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
    to_jsonb(d) ->> 'daticurules' AS "icuRules",
    pg_database_size(oid)::float8 AS "sizeBytes",
    pg_is_in_recovery() AS "inRecovery",
    (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "epochMs"
  FROM pg_database AS d WHERE datname = current_database()`;

/** What there is to know of the server and the database of `session`. Works on PostgreSQL 13 and newer. */
export async function readServerInfo(session: Session): Promise<ServerInfo> {
  const [row] = await session.query<InfoRow>(infoSql);
  if (row === undefined) throw new TypeError('a session is always in a database');
  const { epochMs, provider, locale, icuRules, ...info } = row;
  return {
    ...info,
    ...describeProvider(provider, locale, icuRules),
    major: Math.floor(info.versionNum / 10_000),
    at: new Date(epochMs),
  };
}

const providers: Readonly<Record<string, 'icu' | 'builtin'>> = { i: 'icu', b: 'builtin' };

function describeProvider(
  letter: string | null,
  locale: string | null,
  icuRules: string | null,
): Pick<DatabaseLocale, 'localeProvider' | 'locale' | 'icuRules'> {
  const localeProvider = providers[letter ?? ''];
  if (localeProvider === undefined || locale === null) return {};
  return { localeProvider, locale, ...(icuRules !== null && { icuRules }) };
}

/** What it takes to make a database that sorts and compares like the one of `server`. */
export function localeOf({
  encoding,
  collate,
  ctype,
  localeProvider,
  locale,
  icuRules,
}: DatabaseLocale): DatabaseLocale {
  return {
    encoding,
    collate,
    ctype,
    ...(localeProvider !== undefined && { localeProvider }),
    ...(locale !== undefined && { locale }),
    ...(icuRules !== undefined && { icuRules }),
  };
}
