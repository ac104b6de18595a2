-- Tables of every shape that the sample has not.
CREATE TABLE kinds.most_columns (id int PRIMARY KEY);
SELECT format('ALTER TABLE kinds.most_columns %s', string_agg(format('ADD c%s %s', n, (ARRAY['smallint', 'boolean', '"char"'])[1 + n % 3]), ', ')) FROM generate_series(1, 1599) n \gexec
SELECT format('INSERT INTO kinds.most_columns SELECT n, %s FROM generate_series(1, 20) n', string_agg((ARRAY['n + ' || c, 'n % 2 = 0', 'chr(n + 40)::"char"'])[1 + c % 3], ', ' ORDER BY c)) FROM generate_series(1, 1599) c \gexec
INSERT INTO kinds.most_columns VALUES (0);

CREATE TABLE kinds.generated_in_the_middle (
  gone_first text, id int PRIMARY KEY, sum bigint GENERATED ALWAYS AS (id + price) STORED, price bigint NOT NULL, gone text,
  lower text GENERATED ALWAYS AS (lower(name)) STORED, name text, at date DEFAULT '2026-01-01'
);
INSERT INTO kinds.generated_in_the_middle (gone_first, id, price, gone, name) SELECT 'x', n, n * 2, 'gone', 'NAME ' || n FROM generate_series(1, 10) n;
ALTER TABLE kinds.generated_in_the_middle DROP gone, DROP gone_first, ADD late text GENERATED ALWAYS AS (left(name, 1)) STORED, ADD last int DEFAULT 7;
INSERT INTO kinds.generated_in_the_middle (id, price) VALUES (100, -100);

CREATE TABLE kinds.stored (plain int, main text, external text, extended text, fixed char(3)) WITH (
  fillfactor = 33, toast_tuple_target = 512, parallel_workers = 3, autovacuum_vacuum_scale_factor = 0.5, toast.autovacuum_enabled = off, toast.vacuum_truncate = off, user_catalog_table = true, log_autovacuum_min_duration = 10
);
ALTER TABLE kinds.stored ALTER main SET STORAGE MAIN, ALTER external SET STORAGE EXTERNAL, ALTER fixed SET STORAGE PLAIN, ALTER plain SET STATISTICS 0,
  ALTER main SET (n_distinct = 5, n_distinct_inherited = -0.5), ALTER extended SET STATISTICS 1000;
INSERT INTO kinds.stored VALUES (1, repeat('m', 9000), repeat('e', 9000), repeat('x', 900000), 'abc'), (2, NULL, '', repeat(E'\\.\n', 3000), '');
\if :has_14
CREATE TABLE kinds.compressed (pglz text COMPRESSION pglz, any_text text);
\if :has_lz4
ALTER TABLE kinds.compressed ADD lz4 text COMPRESSION lz4;
\endif
INSERT INTO kinds.compressed VALUES (repeat('abc', 20000), repeat('def', 20000));
\endif

CREATE UNLOGGED TABLE kinds.unlogged (id bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME kinds."unlogged's numbers" START 50 INCREMENT BY -5 MAXVALUE 100 MINVALUE 0 CYCLE), body text);
INSERT INTO kinds.unlogged (body) SELECT 'row ' || n FROM generate_series(1, 5) n;
\if :has_15
CREATE UNLOGGED SEQUENCE kinds.unlogged_sequence START 5;
SELECT nextval('kinds.unlogged_sequence') \g /dev/null
\endif
CREATE SEQUENCE kinds.every_option AS bigint INCREMENT BY -7 MINVALUE -9000000000000000000 MAXVALUE 9000000000000000000 START WITH 8999999999999999999 CACHE 100 CYCLE;
SELECT setval('kinds.every_option', -9000000000000000000, true) \g /dev/null
CREATE SEQUENCE kinds.integer_sequence AS integer OWNED BY NONE;
CREATE TABLE kinds.owns_two (a int, b int); CREATE SEQUENCE kinds.first_of_a OWNED BY kinds.owns_two.a; CREATE SEQUENCE kinds.second_of_a OWNED BY kinds.owns_two.a;
ALTER TABLE kinds.owns_two ALTER a SET DEFAULT nextval('kinds.first_of_a') + nextval('kinds.second_of_a'), ALTER b SET DEFAULT nextval('kinds.integer_sequence'); INSERT INTO kinds.owns_two DEFAULT VALUES;
GRANT SELECT ON SEQUENCE kinds.first_of_a TO sample_reader;

-- Keys and checks: not valid, not inherited, of several columns, to itself, deferrable, of partitioned tables.
CREATE TABLE kinds.parents (a int, b text, c int, PRIMARY KEY (a, b), CONSTRAINT unique_late UNIQUE (c) DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "Odd ""check""" CHECK (b <> E'\\''' AND a > 0));
CREATE TABLE kinds.children (id int PRIMARY KEY, a int DEFAULT 5, b text, parent int REFERENCES kinds.children DEFERRABLE, FOREIGN KEY (a, b) REFERENCES kinds.parents MATCH SIMPLE ON UPDATE CASCADE ON DELETE SET NULL);
INSERT INTO kinds.parents VALUES (1, 'x', 1), (2, 'y', NULL); INSERT INTO kinds.children VALUES (1, 1, 'x', 2), (2, 2, NULL, 1), (3, 99, NULL, NULL);
\if :has_15
CREATE TABLE kinds.set_one_null (a int, b text, FOREIGN KEY (a, b) REFERENCES kinds.parents ON DELETE SET NULL (b));
\endif
CREATE TABLE kinds.broken_key (c int); INSERT INTO kinds.broken_key VALUES (4711); CREATE UNIQUE INDEX parents_c ON kinds.parents (c);
ALTER TABLE kinds.broken_key ADD CONSTRAINT not_checked FOREIGN KEY (c) REFERENCES kinds.parents (c) NOT VALID, ADD CONSTRAINT also_not CHECK (c < 10) NO INHERIT NOT VALID;
CREATE TABLE kinds.excluded (span int4range, EXCLUDE USING gist (span WITH &&) INCLUDE (span) WITH (fillfactor = 60) WHERE (NOT isempty(span)) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE kinds.by_index (id int NOT NULL, other int NOT NULL); CREATE UNIQUE INDEX becomes_key ON kinds.by_index (id) INCLUDE (other); ALTER TABLE kinds.by_index ADD CONSTRAINT "now a key" PRIMARY KEY USING INDEX becomes_key;
ALTER TABLE kinds.by_index REPLICA IDENTITY NOTHING;

-- Inheritance from several, with columns merged, overridden, dropped, and rows in all of them.
CREATE TABLE kinds.left_parent (id int NOT NULL, shared text DEFAULT 'left', gone int, CONSTRAINT same_check CHECK (id > 0));
CREATE TABLE kinds.right_parent (shared text, "right" int DEFAULT 1, id int, CONSTRAINT same_check CHECK (id > 0));
CREATE TABLE kinds.both (own int, shared text DEFAULT 'own', CONSTRAINT same_check CHECK (id > 0)) INHERITS (kinds.right_parent, kinds.left_parent);
CREATE TABLE kinds.added_later (id int NOT NULL, shared text DEFAULT 'later', gone int, extra int, CONSTRAINT same_check CHECK (id > 0)); ALTER TABLE kinds.added_later INHERIT kinds.left_parent;
ALTER TABLE kinds.left_parent DROP gone; ALTER TABLE kinds.both ALTER "right" SET DEFAULT 2, ALTER id SET STATISTICS 77;
CREATE TABLE kinds.no_more_child () INHERITS (kinds.both); ALTER TABLE kinds.no_more_child NO INHERIT kinds.both;
INSERT INTO kinds.left_parent (id) VALUES (1); INSERT INTO kinds.right_parent (id) VALUES (2); INSERT INTO kinds.both (id, own) VALUES (3, 4); INSERT INTO kinds.added_later VALUES (5, 'x', 6, 7); INSERT INTO kinds.no_more_child (id) VALUES (7);

-- Partitions of every strategy, below each other, elsewhere, foreign, unlogged, with columns in another order.
CREATE TABLE kinds.by_range (a int NOT NULL, b text, c date) PARTITION BY RANGE (a, lower(b) COLLATE "C" text_pattern_ops, c);
CREATE TABLE kinds.by_range_low PARTITION OF kinds.by_range (c DEFAULT '2026-01-01', CONSTRAINT own_check CHECK (b <> 'x')) FOR VALUES FROM (MINVALUE, MINVALUE, MINVALUE) TO (10, MINVALUE, MINVALUE) WITH (fillfactor = 70);
CREATE UNLOGGED TABLE kinds.by_range_high PARTITION OF kinds.by_range FOR VALUES FROM (10, 'it''s', '2026-01-01') TO (MAXVALUE, MAXVALUE, MAXVALUE);
CREATE TABLE types.by_range_elsewhere (c date, extra_gone int, b text, a int NOT NULL); ALTER TABLE types.by_range_elsewhere DROP extra_gone;
ALTER TABLE kinds.by_range ATTACH PARTITION types.by_range_elsewhere FOR VALUES FROM (10, MINVALUE, MINVALUE) TO (10, 'a', MAXVALUE);
INSERT INTO kinds.by_range VALUES (1, 'one', '2026-01-01'), (10, 'A', '2026-02-01'), (11, 'z', '2026-03-01');
CREATE TABLE kinds.by_list (code "char", body text DEFAULT 'parent', id int GENERATED BY DEFAULT AS IDENTITY) PARTITION BY LIST (code);
CREATE TABLE kinds.by_list_ab PARTITION OF kinds.by_list (body DEFAULT 'part') FOR VALUES IN ('a', 'b', NULL, '\') PARTITION BY HASH (id);
CREATE TABLE kinds.by_list_ab_0 PARTITION OF kinds.by_list_ab FOR VALUES WITH (MODULUS 2, REMAINDER 0) PARTITION BY RANGE (body);
CREATE TABLE kinds.by_list_ab_0_all PARTITION OF kinds.by_list_ab_0 DEFAULT;
CREATE TABLE kinds.by_list_ab_1 PARTITION OF kinds.by_list_ab FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE kinds.by_list_rest PARTITION OF kinds.by_list DEFAULT;
CREATE FOREIGN TABLE kinds.by_list_foreign PARTITION OF kinds.by_list FOR VALUES IN ('f') SERVER sample_plain OPTIONS (path '/dev/null');
INSERT INTO kinds.by_list SELECT (ARRAY['a', 'b', NULL, E'\\', 'z', ''])[1 + n % 6]::"char" FROM generate_series(1, 60) n;
ALTER TABLE kinds.by_list_rest OWNER TO sample_owner; GRANT SELECT ON kinds.by_list_rest TO sample_reader; GRANT INSERT (code) ON kinds.by_list TO PUBLIC;
CREATE TABLE kinds.keyed (id int, part int, parent int, PRIMARY KEY (part, id), FOREIGN KEY (part, parent) REFERENCES kinds.keyed DEFERRABLE INITIALLY DEFERRED) PARTITION BY LIST (part);
CREATE TABLE kinds.keyed_1 PARTITION OF kinds.keyed FOR VALUES IN (1); CREATE TABLE kinds.keyed_2 PARTITION OF kinds.keyed FOR VALUES IN (2);
INSERT INTO kinds.keyed SELECT n, 1 + n % 2, n FROM generate_series(1, 20) n;
CREATE TABLE kinds.refers_to_keyed (part int, id int, FOREIGN KEY (part, id) REFERENCES kinds.keyed ON DELETE CASCADE); INSERT INTO kinds.refers_to_keyed VALUES (2, 1);
CREATE TABLE kinds.detached PARTITION OF kinds.by_list FOR VALUES IN ('q'); INSERT INTO kinds.by_list VALUES ('q'); ALTER TABLE kinds.by_list DETACH PARTITION kinds.detached;

-- Indexes of partitioned tables: on all parts, on some, on none; with parts that were made first.
CREATE INDEX by_list_ids ON kinds.by_list_rest (id); CREATE INDEX by_list_all ON ONLY kinds.by_list (id); ALTER INDEX kinds.by_list_all ATTACH PARTITION kinds.by_list_ids;
CREATE INDEX by_range_none ON ONLY kinds.by_range (c);
CREATE UNIQUE INDEX keyed_unique ON kinds.keyed (part, parent DESC NULLS LAST) INCLUDE (id) WITH (deduplicate_items = off); ALTER TABLE kinds.keyed_1 REPLICA IDENTITY USING INDEX keyed_1_pkey; ALTER TABLE kinds.keyed_2 CLUSTER ON keyed_2_pkey;
CREATE INDEX stored_expressions ON kinds.stored ((main || external) text_pattern_ops, (plain + 1) DESC) WHERE (extended IS NOT NULL AND main <> E'\\''');
ALTER INDEX kinds.stored_expressions ALTER COLUMN 1 SET STATISTICS 400, ALTER COLUMN 2 SET STATISTICS 0;
CREATE INDEX stored_brin ON kinds.stored USING brin (plain int4_minmax_ops, external) WITH (pages_per_range = 2, autosummarize = on);
\if :has_14
CREATE INDEX stored_bloom ON kinds.stored USING brin (external text_bloom_ops (n_distinct_per_range = 50, false_positive_rate = 0.05), plain int4_minmax_multi_ops (values_per_range = 16));
\endif
\if :has_15
ALTER TABLE kinds.stored ADD CONSTRAINT one_nothing UNIQUE NULLS NOT DISTINCT (main, fixed) INCLUDE (plain) WITH (fillfactor = 90);
\endif
CREATE STATISTICS kinds."Odd ""statistics""" (mcv) ON a, b, c FROM kinds.parents; ALTER STATISTICS kinds."Odd ""statistics""" OWNER TO sample_owner;
CREATE STATISTICS kinds.of_parts (dependencies) ON part, parent FROM kinds.keyed;

-- Rows of tables as values, also of tables that have lost columns.
CREATE TABLE kinds.holds_rows (one kinds.generated_in_the_middle, several types.some_dropped[], of_view shop.cheap);
INSERT INTO kinds.holds_rows SELECT made, NULL, NULL FROM kinds.generated_in_the_middle made LIMIT 2; INSERT INTO kinds.holds_rows SELECT NULL, array_agg(dropped), NULL FROM types.some_dropped dropped; INSERT INTO kinds.holds_rows SELECT NULL, NULL, cheap FROM shop.cheap LIMIT 2;
CREATE TYPE kinds.row_type AS (id int, body text); CREATE TABLE kinds.typed OF kinds.row_type (id WITH OPTIONS DEFAULT 5 PRIMARY KEY, body DEFAULT 'x' NOT NULL); INSERT INTO kinds.typed VALUES (1, 'a'), (DEFAULT, E'\\.');
