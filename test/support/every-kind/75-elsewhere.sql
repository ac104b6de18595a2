-- What points to other servers. Nothing is connected: there is nobody at those addresses.
CREATE FOREIGN DATA WRAPPER "Odd ""wrapper""" VALIDATOR postgresql_fdw_validator; ALTER FOREIGN DATA WRAPPER "Odd ""wrapper""" OWNER TO CURRENT_USER; GRANT USAGE ON FOREIGN DATA WRAPPER "Odd ""wrapper""" TO sample_owner WITH GRANT OPTION;
CREATE SERVER "Odd ""server""" FOREIGN DATA WRAPPER "Odd ""wrapper""" OPTIONS (dbname E'a \\ b'); ALTER SERVER "Odd ""server""" OWNER TO sample_owner;
CREATE USER MAPPING FOR "Sample ""Writer""" SERVER "Odd ""server""" OPTIONS ("user" 'it''s', password ''); CREATE USER MAPPING FOR sample_reader SERVER "Odd ""server""";
CREATE FOREIGN TABLE kinds.foreign_child (id int NOT NULL, shared text DEFAULT 'far', own text OPTIONS (a 'b', "c d" 'it''s'), CONSTRAINT same_check CHECK (id > 0), CHECK (own <> '') NO INHERIT) INHERITS (kinds.left_parent) SERVER sample_plain OPTIONS ("table name" '\ x'); ALTER FOREIGN TABLE kinds.foreign_child ALTER own SET STATISTICS 5; GRANT SELECT (id), UPDATE ON kinds.foreign_child TO sample_reader;
\if :has_file_fdw
CREATE EXTENSION file_fdw WITH SCHEMA extensions; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE kinds.nothing_at_all (line text) SERVER files OPTIONS (filename '/dev/null', format 'csv', delimiter E'\t');
\endif

SET client_min_messages = error; -- without wal_level = logical each of these warns
CREATE PUBLICATION "Odd ""publication""" FOR TABLE kinds.parents, kinds.keyed, ONLY kinds.left_parent, types.by_range_elsewhere WITH (publish = 'truncate, delete'); ALTER PUBLICATION "Odd ""publication""" OWNER TO CURRENT_USER;
CREATE PUBLICATION kinds_empty WITH (publish = ''); CREATE PUBLICATION kinds_root FOR TABLE kinds.by_list WITH (publish_via_partition_root = true, publish = 'insert');
\if :has_15
CREATE PUBLICATION kinds_filtered FOR TABLE kinds.placed, kinds.parents WHERE (b <> E'\\''' AND a > 0), TABLES IN SCHEMA history WITH (publish = 'insert');
CREATE PUBLICATION kinds_columns FOR TABLE kinds.placed (price, area), kinds.parents (b, a) WHERE (a IS NOT NULL) WITH (publish = 'insert');
CREATE PUBLICATION kinds_schemas FOR TABLES IN SCHEMA kinds, "two
lines", ":name", TABLE shop.products;
\endif
-- A database with a subscription cannot be dropped, so only those who ask for one get it.
\if :with_subscriptions
CREATE SUBSCRIPTION kinds_subscription CONNECTION 'host=127.0.0.1 port=1 dbname=''no where'' password=''it\''s''' PUBLICATION one, "Odd ""publication""" WITH (connect = false, slot_name = NONE, enabled = false, create_slot = false);
CREATE SUBSCRIPTION "Odd ""subscription""" CONNECTION 'host=127.0.0.1 port=1' PUBLICATION "two
lines" WITH (connect = false, slot_name = 'some_slot', synchronous_commit = 'remote_apply');
COMMENT ON SUBSCRIPTION kinds_subscription IS 'never connected';
\if :has_14
ALTER SUBSCRIPTION kinds_subscription SET (binary = true, streaming = true);
\endif
\if :has_15
ALTER SUBSCRIPTION kinds_subscription SET (disable_on_error = true);
\endif
\endif
SET client_min_messages = warning;
