-- What this server can do decides which parts of the sample are built.
SELECT :SERVER_VERSION_NUM >= 140000 AS has_14,
       :SERVER_VERSION_NUM >= 150000 AS has_15,
       :SERVER_VERSION_NUM >= 180000 AS has_18,
       EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i') AS has_icu,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hstore') AS has_hstore,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') AS has_citext,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') AS has_trgm,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'btree_gist') AS has_btree_gist,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw') AS has_postgres_fdw
\gset

SET client_min_messages = warning;

CREATE SCHEMA shop AUTHORIZATION sample_owner;
CREATE SCHEMA types;
CREATE SCHEMA history;
CREATE SCHEMA secure;
CREATE SCHEMA empty;
CREATE SCHEMA extensions;
CREATE SCHEMA "Odd ""Schema"" / ünï – 表";
COMMENT ON SCHEMA empty IS 'nothing in here, and that must survive too';
COMMENT ON SCHEMA "Odd ""Schema"" / ünï – 表" IS E'a comment with ''quotes'', a \\ backslash,\na new line and -- two dashes; $$dollars$$';
