import type { Row, Session } from './session.ts';

export interface ServerInfo {
  /** Without the packager's addition: `15.18`. */
  readonly version: string;
  readonly major: number;
  /** `server_version_num`: 150018. */
  readonly versionNum: number;
  readonly database: string;
  /** Encoding, collation and character type of the database. */
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
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
}

/** From 15 on, a database with the ICU provider has its locale elsewhere; collate and ctype stay filled. */
const infoSql = `
  SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
    current_setting('server_version_num')::int AS "versionNum",
    datname AS database,
    pg_encoding_to_char(encoding) AS encoding,
    datcollate AS collate,
    datctype AS ctype,
    pg_database_size(oid)::float8 AS "sizeBytes",
    pg_is_in_recovery() AS "inRecovery",
    (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "epochMs"
  FROM pg_database WHERE datname = current_database()`;

/** What there is to know of the server and the database of `session`. Works on PostgreSQL 13 and newer. */
export async function readServerInfo(session: Session): Promise<ServerInfo> {
  const [row] = await session.query<InfoRow>(infoSql);
  if (row === undefined) throw new TypeError('a session is always in a database');
  const { epochMs, ...info } = row;
  return { ...info, major: Math.floor(info.versionNum / 10_000), at: new Date(epochMs) };
}
