/** Since 15 `public` belongs to the owner of the database, and only that one may create in it. */
const firstMajorWithClosedPublic = 15;

/** Rows of `catalog` that no extension brought and that initdb did not make. */
const made = (catalog: string) => `
  FROM pg_catalog.${catalog} AS made
  WHERE made.oid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend
    WHERE deptype = 'e' AND classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND objid = made.oid)`;

/** Executes, for each row of a query, the statement in its only column. */
const forEach = (query: string) => `
  FOR statement IN ${query} LOOP
    EXECUTE statement;
  END LOOP;`;

const dropEach = (kind: string, catalog: string, nameColumn: string) =>
  forEach(`SELECT pg_catalog.format('DROP ${kind} IF EXISTS %I CASCADE', ${nameColumn}) ${made(catalog)}`);

/** Ahead of extensions: one that goes before an index that sets options of its operator class fails to go. */
const dropTables = forEach(`
  SELECT pg_catalog.format('DROP %s IF EXISTS %s.%I CASCADE',
    CASE relkind WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
    relnamespace::pg_catalog.regnamespace, relname)
  ${made('pg_class')} AND relkind IN ('r', 'p', 'f', 'm') AND relnamespace::pg_catalog.regnamespace::text !~ '^pg_'`);

/** Those of all databases are in one catalog. */
const subscriptions = `pg_catalog.pg_subscription AS s
    WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`;

/** Statements for a block that declares `statement` and `used`, the origins of what came to any subscription. */
const dropSubscriptions = `
  IF EXISTS (SELECT FROM ${subscriptions}) THEN
    IF pg_catalog.has_function_privilege('pg_catalog.pg_show_replication_origin_status()', 'EXECUTE') THEN
      SELECT pg_catalog.array_agg(external_id) INTO used FROM pg_catalog.pg_show_replication_origin_status();
    END IF;
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(subname), ', ' ORDER BY subname) INTO statement
      FROM ${subscriptions} AND (subenabled OR subslotname IS NOT NULL AND (
        EXISTS (SELECT FROM pg_catalog.pg_subscription_rel WHERE srsubid = s.oid)
        OR 'pg_' || s.oid = ANY (used)));
    IF statement IS NOT NULL THEN
      RAISE EXCEPTION 'the database has subscriptions that are in use: %', statement;
    END IF;
    ${forEach(`SELECT pg_catalog.format('ALTER SUBSCRIPTION %I SET (slot_name = NONE); DROP SUBSCRIPTION %I',
      subname, subname) FROM ${subscriptions}`)}
  END IF;`;

/**
 * SQL that drops the subscriptions of a database that nothing has come to yet, as a restore makes them. Fails when one is in
 * use: it is enabled, or has been, and has a slot, which would be left on its publisher, keeping all its WAL. As long as
 * the transaction is not over, no other subscription of the server can be started, changed or dumped.
 */
export const dropSubscriptionsScript = `DO $drop$
DECLARE
  statement text;
  used text[];
BEGIN${dropSubscriptions}
END
$drop$`;

/**
 * SQL that takes everything its users have put into a database out of it, for a restore over what is there. It runs in
 * the transaction of the restore: when that fails, nothing is gone. `pg_restore --clean` would not do: it drops object by
 * object, which fails on partitions with keys, and leaves what the archive does not have.
 *
 * Stays: settings of the database itself, default privileges that name no schema, privileges on the system's own tables.
 * Fails when a subscription is in use, see `dropSubscriptionsScript`.
 */
export function cleanScript(serverMajor: number): string {
  return `SET client_min_messages = error;
DO $clean$
DECLARE
  statement text;
  used text[];
BEGIN
  ${dropSubscriptions}
  ${dropEach('EVENT TRIGGER', 'pg_event_trigger', 'evtname')}
  ${dropEach('PUBLICATION', 'pg_publication', 'pubname')}
  ${dropTables}
  ${forEach(`SELECT pg_catalog.format('DROP EXTENSION IF EXISTS %I CASCADE', extname)
    FROM pg_catalog.pg_extension WHERE oid >= 16384`)}
  ${dropEach('FOREIGN DATA WRAPPER', 'pg_foreign_data_wrapper', 'fdwname')}
  ${forEach(`SELECT pg_catalog.format('DROP SCHEMA IF EXISTS %I CASCADE', nspname)
    FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`)}
  ${forEach(`SELECT pg_catalog.format('DROP CAST IF EXISTS (%s AS %s) CASCADE',
    castsource::pg_catalog.regtype, casttarget::pg_catalog.regtype) ${made('pg_cast')}`)}
  ${forEach(`SELECT pg_catalog.format('DROP TRANSFORM IF EXISTS FOR %s LANGUAGE %I CASCADE',
    trftype::pg_catalog.regtype, (SELECT lanname FROM pg_catalog.pg_language AS l WHERE l.oid = trflang))
    ${made('pg_transform')}`)}
  ${dropEach('LANGUAGE', 'pg_language', 'lanname')}
  ${dropEach('ACCESS METHOD', 'pg_am', 'amname')}
  PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata;
END
$clean$;
${serverMajor >= firstMajorWithClosedPublic ? closedPublic : openPublic}
COMMENT ON SCHEMA public IS 'standard public schema';
`;
}

const closedPublic = `CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;`;

const openPublic = `CREATE SCHEMA public;
GRANT ALL ON SCHEMA public TO PUBLIC;`;
