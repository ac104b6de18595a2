-- Tables large enough to be split: about 4 MB each, times :scale. The server's idea of their size is right for some only.
CREATE TABLE kinds.large_plain (gone int, id bigint, doubled bigint GENERATED ALWAYS AS (id * 2) STORED, body text, gone_too text, at timestamptz);
INSERT INTO kinds.large_plain (gone, id, body, gone_too, at) SELECT 1, n, CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'\\.' ELSE md5(n::text) || E'\t\n' || md5((n + 1)::text) END, 'gone', timestamptz '2026-01-01' + n * interval '1 second' FROM generate_series(1, 40000 * :scale) n;
ALTER TABLE kinds.large_plain DROP gone, DROP gone_too, ADD PRIMARY KEY (id), ADD late int DEFAULT 1; INSERT INTO kinds.large_plain (id, late) VALUES (-1, NULL);

CREATE TABLE kinds."large, ""out of line"" and $odd*" (id int PRIMARY KEY, "as it is" bytea, compressed text); ALTER TABLE kinds."large, ""out of line"" and $odd*" ALTER "as it is" SET STORAGE EXTERNAL;
INSERT INTO kinds."large, ""out of line"" and $odd*" SELECT n, (SELECT string_agg(sha512((n * 10000 + i)::text::bytea), '') FROM generate_series(1, 4000) i), repeat('text ' || n || E'\n', 20000) FROM generate_series(1, 15 * :scale) n;

-- Nothing is vacuumed: pages without rows at the start, in the middle and at the end, and rows that have moved.
CREATE TABLE kinds.large_with_holes (id int, body text) WITH (fillfactor = 90); ALTER TABLE kinds.large_with_holes REPLICA IDENTITY FULL;
INSERT INTO kinds.large_with_holes SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 40000 * :scale) n;
DELETE FROM kinds.large_with_holes WHERE id < 4000 * :scale OR id BETWEEN 14000 * :scale AND 25000 * :scale OR id > 36000 * :scale OR id % 3 = 0;
UPDATE kinds.large_with_holes SET body = 'moved' || body WHERE id % 7 = 0; INSERT INTO kinds.large_with_holes SELECT -n, 'late' FROM generate_series(1, 100) n;
CREATE TABLE kinds.large_and_empty (id int, body text); ALTER TABLE kinds.large_and_empty REPLICA IDENTITY FULL; INSERT INTO kinds.large_and_empty SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 12000 * :scale) n; DELETE FROM kinds.large_and_empty;
-- Grown, and shrunk, since it was last looked at.
CREATE TABLE kinds.large_since (id int, body text); INSERT INTO kinds.large_since VALUES (0, ''); ANALYZE kinds.large_since; INSERT INTO kinds.large_since SELECT n, repeat(md5(n::text), 2) FROM generate_series(1, 25000 * :scale) n;
CREATE TABLE kinds.small_since (id int, body text); INSERT INTO kinds.small_since SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 12000 * :scale) n; ANALYZE kinds.small_since; TRUNCATE kinds.small_since; INSERT INTO kinds.small_since VALUES (1, 'one');

CREATE TABLE kinds.large_parts (id int, at date, body text) PARTITION BY RANGE (at);
CREATE TABLE kinds.large_parts_1 PARTITION OF kinds.large_parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE kinds.large_parts_2 PARTITION OF kinds.large_parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY HASH (id);
CREATE TABLE kinds.large_parts_2_0 PARTITION OF kinds.large_parts_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE UNLOGGED TABLE kinds.large_parts_2_1 PARTITION OF kinds.large_parts_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE kinds.large_parts_3 (body text, gone int, at date, id int); ALTER TABLE kinds.large_parts_3 DROP gone; ALTER TABLE kinds.large_parts ATTACH PARTITION kinds.large_parts_3 DEFAULT;
INSERT INTO kinds.large_parts SELECT n, date '2026-01-01' + n % 100, repeat(md5(n::text), 1 + n % 3) FROM generate_series(1, 40000 * :scale) n; CREATE INDEX ON kinds.large_parts (id); ALTER TABLE kinds.large_parts ADD CONSTRAINT id_and_day UNIQUE (at, id);
-- An enum's hash is that of an OID: rows belong into other partitions when they are restored.
CREATE TYPE kinds.large_hue AS ENUM ('red', 'green', 'blue', 'black', 'white', 'grey', 'pink', 'brown'); CREATE TABLE kinds.large_hues (id int, hue kinds.large_hue, body text) PARTITION BY HASH (hue);
CREATE TABLE kinds.large_hues_0 PARTITION OF kinds.large_hues FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE kinds.large_hues_1 PARTITION OF kinds.large_hues FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY RANGE (id); CREATE TABLE kinds.large_hues_1_0 PARTITION OF kinds.large_hues_1 DEFAULT;
INSERT INTO kinds.large_hues SELECT n, (enum_range(NULL::kinds.large_hue))[1 + n % 8], repeat(md5(n::text), 2) FROM generate_series(1, 30000 * :scale) n; ALTER TABLE kinds.large_hues REPLICA IDENTITY FULL;
CREATE TABLE kinds.large_heir (more text) INHERITS (kinds.large_plain); INSERT INTO kinds.large_heir (id, body, more) SELECT n, md5(n::text), repeat(md5(n::text), 2) FROM generate_series(1, 12000 * :scale) n;
CREATE TABLE kinds.large_guarded (id int, body text); INSERT INTO kinds.large_guarded SELECT n, repeat(md5(n::text), 3) FROM generate_series(1, 12000 * :scale) n; ALTER TABLE kinds.large_guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON kinds.large_guarded USING (false);
CREATE MATERIALIZED VIEW kinds.large_view AS SELECT id, left(body, 10) AS start FROM kinds.large_since;
