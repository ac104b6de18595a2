CREATE TEXT SEARCH DICTIONARY types.stems (TEMPLATE = snowball, LANGUAGE = english, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION types.searching (COPY = pg_catalog.english);
ALTER TEXT SEARCH CONFIGURATION types.searching ALTER MAPPING FOR asciiword WITH types.stems, simple;
ALTER TEXT SEARCH CONFIGURATION types.searching DROP MAPPING FOR email;
CREATE TEXT SEARCH PARSER types.words (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
COMMENT ON TEXT SEARCH CONFIGURATION types.searching IS 'no e-mail addresses';
CREATE INDEX texts_searched ON types.texts USING gin (to_tsvector('types.searching', coalesce(body, '')));

-- Without wal_level = logical this only warns.
SET client_min_messages = error;
CREATE PUBLICATION sample_some FOR TABLE shop.orders, ONLY history.things WITH (publish = 'insert, update');
CREATE PUBLICATION sample_all FOR ALL TABLES WITH (publish_via_partition_root);
COMMENT ON PUBLICATION sample_all IS 'everything';
\if :has_15
CREATE PUBLICATION sample_filtered FOR TABLE shop.customers (id, name) WHERE (id > 1000), shop.orders WHERE (total IS NOT NULL);
CREATE PUBLICATION sample_schema FOR TABLES IN SCHEMA history, types;
\endif
SET client_min_messages = warning;

CREATE FOREIGN DATA WRAPPER sample_wrapper OPTIONS (debug 'true');
CREATE SERVER sample_plain TYPE 'none' VERSION '1' FOREIGN DATA WRAPPER sample_wrapper OPTIONS (host 'nowhere', "odd name" 'it''s');
CREATE USER MAPPING FOR PUBLIC SERVER sample_plain OPTIONS (login 'x', secret 'not a real one');
CREATE FOREIGN TABLE shop.elsewhere (id int OPTIONS (key 'true') NOT NULL, body text DEFAULT 'x') SERVER sample_plain OPTIONS (path '/nowhere');
COMMENT ON FOREIGN TABLE shop.elsewhere IS 'no rows here'; GRANT USAGE ON FOREIGN SERVER sample_plain TO sample_reader;
\if :has_postgres_fdw
CREATE EXTENSION postgres_fdw;
CREATE SERVER sample_postgres FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'none');
CREATE USER MAPPING FOR CURRENT_USER SERVER sample_postgres OPTIONS (user 'nobody', password 'none');
CREATE FOREIGN TABLE history.far_events (id bigint, at timestamptz) SERVER sample_postgres OPTIONS (schema_name 'history', table_name 'events');
\endif
CREATE ACCESS METHOD sample_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE types.own_access_method (x int) USING sample_heap; INSERT INTO types.own_access_method VALUES (1);
CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION pg_catalog.prsd_lextype(internal));
