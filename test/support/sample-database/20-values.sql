-- One table per family of types, filled with the values that break naive copies.
CREATE TABLE types.numbers (
  id smallint PRIMARY KEY,
  small smallint, whole int, big bigint,
  exact numeric, scaled numeric(20, 6), ratio types.percentage,
  single real, double double precision,
  cash money, flag boolean, object_id oid
);
INSERT INTO types.numbers VALUES
  (1, -32768, -2147483648, -9223372036854775808, 'NaN', -99999999999999.999999, 0, 'NaN', 'NaN', '-92233720368547758.08', true, 4294967295),
  (2, 32767, 2147483647, 9223372036854775807, 1e-1000, 0.000001, 100, 'Infinity', 'Infinity', '92233720368547758.07', false, 0),
  (3, 0, 0, 0, 0.000, 0, 33.33, '-Infinity', '-Infinity', 0, NULL, NULL),
  (4, 1, 1, 1, ('1' || repeat('0', 10000) || '.' || repeat('3', 2000))::numeric, 1, 1, 1.17549435e-38, 5e-324, 1, true, 1),
  (5, NULL, NULL, NULL, NULL, NULL, 0, '-0', '-0', NULL, NULL, NULL),
  (6, 2, 2, 2, 123456789.123456789123456789, 2, 2, 0.1, 0.1::double precision + 0.2, 2, true, 2),
  (7, 3, 3, 3, 3, 3, 3, 3.4028235e38, 1.7976931348623157e308, 3, true, 3);
\if :has_14
INSERT INTO types.numbers (id, exact) VALUES (8, 'Infinity'), (9, '-Infinity');
\endif

CREATE TABLE types.texts (
  id int PRIMARY KEY, body text, short varchar(20), padded char(10), single "char", label name, note text NOT NULL DEFAULT 'it''s'
);
INSERT INTO types.texts (id, body, short, padded, single, label) VALUES
  (1, '', '', '', '', ''),
  (2, NULL, NULL, NULL, NULL, NULL),
  (3, E'tab\there\nnew line\rreturn\r\nboth\b\f\v', E'\t', E'\n', E'\\', E'\\N'),
  (4, E'\\.', E'\\.', E'\\.', '.', E'\\.'),
  (5, E'\\N', E'\\N', E'\\N', 'N', 'NULL'),
  (6, E'before\n\\.\nafter', 'NULL', 'null', 'x', 'x'),
  (7, E'back\\slash \\\\ \\n \\t \\x41 trailing\\', E'\\\\', E'\\', '"', '"quoted"'),
  (8, 'Ünïcödé – 漢字 – עברית – 🐘👩‍👩‍👧 – é', 'ñandú', 'ß', 'y', 'naïve'),
  (9, E'\u0001\u0002\u001f\u007f\u0080\u00a0\u200b\u2028\ufeff\U0010ffff', E'\u00a0', ' ', ' ', ' '),
  (10, '  blanks around  ', '   ', '   x', '', ' '),
  (11, $q$'; DROP TABLE x; -- $1 ${HOME} %s `id` \copy \! ls$q$, '''', '''''', '''', '''');
INSERT INTO types.texts (id, body) SELECT 100 + n, chr(n) FROM generate_series(1, 127) n;

CREATE TABLE types.long_values (id int PRIMARY KEY, kind text NOT NULL, body text, raw bytea);
ALTER TABLE types.long_values ALTER body SET STORAGE EXTERNAL, ALTER kind SET STORAGE MAIN;
INSERT INTO types.long_values VALUES
  (1, 'one letter, one megabyte', repeat('x', 1048576), NULL),
  (2, 'many lines', repeat(E'line\twith tab\n', 50000), NULL),
  (3, 'just under and over a page', repeat('a', 1990), decode(repeat('00', 2100), 'hex')),
  (4, 'incompressible', (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 20000) n), NULL),
  (5, 'wide letters', repeat('漢🐘', 100000), NULL);

CREATE TABLE types.binaries (id int PRIMARY KEY, raw bytea, bits bit(11), many_bits bit varying);
INSERT INTO types.binaries VALUES
  (1, '', B'00000000000', ''), (2, NULL, NULL, NULL), (3, '\x00', B'11111111111', B'1'), (4, '\x5c2e0a5c4e', B'10101010101', B'0'),
  (5, (SELECT string_agg(decode(lpad(to_hex(n), 2, '0'), 'hex'), '') FROM generate_series(0, 255) n), B'01010101010', repeat('01', 5000)::varbit),
  (6, (SELECT string_agg(decode(md5(n::text), 'hex'), '') FROM generate_series(1, 50000) n), NULL, NULL);

CREATE TABLE types.moments (
  id int PRIMARY KEY, at timestamptz, local timestamp, day date, clock time, zoned_clock timetz, span interval, precise timestamptz(0)
);
INSERT INTO types.moments VALUES
  (1, 'infinity', 'infinity', 'infinity', '00:00', '00:00+00', '0', 'infinity'),
  (2, '-infinity', '-infinity', '-infinity', '24:00', '24:00-15:59', '-178000000 years', '-infinity'),
  (3, '4713-01-01 00:00:00+00 BC', '4713-01-01 00:00:00 BC', '4713-01-01 BC', '23:59:59.999999', '23:59:59.999999+15:59', '178000000 years', 'epoch'),
  (4, '294276-12-31 23:59:59.999999+00', '294276-12-31 23:59:59.999999', '5874897-12-31', NULL, NULL, '1 mon -1 day +00:00:00.000001', NULL),
  (5, '0001-12-31 23:59:59.5 BC', '0001-01-01', '1582-10-10', '12:34:56.7', '12:34:56.7+05:45', '-1 year +1 mon -1 day -00:00:01', '2016-12-31 23:59:60+00');

CREATE TABLE types.documents (id int PRIMARY KEY, parsed jsonb, verbatim json, markup xml, search tsvector, question tsquery, path jsonpath);
INSERT INTO types.documents VALUES
  (1, '{"a": [1, 2.50, null, true, {"b": {}}], "ü": "\u00e9\n\\\"", "": ""}', E'{ "a" :1,\n\t"a": 2 , "big": 1e400}', '<a b="c">&amp;<!-- x --><d/></a>', 'the quick:1A,5 ''brown fox'':2B', '!a & (b | c <-> d:*)', '$.a[*] ? (@ > 1)'),
  (2, 'null', 'null', 'no element, just text', '', NULL, '$'),
  (3, '"text"', '"\ud83d\udc18"', E'<?xml version="1.0"?>\n<x><![CDATA[<&>\\.]]></x>', to_tsvector('english', 'Backups nobody restored are wishes'), to_tsquery('simple', 'a:AB'), 'strict $."key with space"'),
  (4, '12345678901234567890.123456789012345678901234567890', ' [ ] ', NULL, NULL, NULL, NULL),
  (5, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE types.lists (id int PRIMARY KEY, numbers int[], words text[], grid int[][], shifted int[], homes types.address[], addresses types.emails, moods types.mood[]);
INSERT INTO types.lists VALUES
  (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, '{1,NULL,-3}', ARRAY['', NULL, 'NULL', 'a,b', '{}', '"', E'\\', E'\n', ' '], '{{1,2},{3,4}}', '[-2:0]={1,2,3}',
   ARRAY[ROW('Main St', '1 a', '12345')::types.address, NULL, ROW(NULL, '', '')::types.address], '{a@b.c}', '{sad,"so ''so''",""}');

CREATE TABLE types.composites (id int PRIMARY KEY, home types.address, deep types.nested, feeling types.mood DEFAULT 'happy', cry types.shout);
INSERT INTO types.composites VALUES
  (1, ROW('a "quoted" (street), here', '', NULL), ROW(1, ROW(NULL, NULL, NULL), ARRAY['x', NULL]), 'between', 'HEY'),
  (2, ROW(NULL, NULL, NULL), NULL, NULL, NULL),
  (3, NULL, ROW(NULL, NULL, NULL), '', '');

CREATE TABLE types.ranges (id int PRIMARY KEY, ints int4range, longs int8range, exact numrange, days daterange, local tsrange, at tstzrange, gap types.float_span);
INSERT INTO types.ranges VALUES
  (1, 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty'),
  (2, '(,)', '[1,)', '(,NaN]', '[2026-01-01,infinity)', '(-infinity,infinity)', '[,"0001-01-01 00:00:00+00 BC")', '[-Infinity,Infinity]'),
  (3, '[1,5]', '(1,5)', '(0.1,0.2]', '[2024-02-28,2024-02-29]', '["2026-01-01 00:00","2026-01-01 00:00"]', NULL, '(0.1,0.30000000000000004)');
\if :has_14
CREATE TABLE types.multiranges (id int PRIMARY KEY, ints int4multirange, exact nummultirange, days datemultirange);
INSERT INTO types.multiranges VALUES (1, '{}', '{}', '{}'), (2, '{[1,3),[5,8)}', '{(,0],[1,1],(2,)}', NULL), (3, '{(,)}', '{[NaN,NaN]}', '{(,2020-01-01),[2026-01-01,)}');
\endif

CREATE TABLE types.networks (id int PRIMARY KEY, host inet, net cidr, card macaddr, long_card macaddr8, key uuid, place point, line line, segment lseg, box box, outline path, area polygon, disc circle, log_position pg_lsn);
INSERT INTO types.networks VALUES
  (1, '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '(1.5,-0)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),1e-300>', 'FFFFFFFF/FFFFFFFF'),
  (2, '::1', '2001:db8::/32', NULL, NULL, '00000000-0000-0000-0000-000000000000', '(NaN,Infinity)', NULL, NULL, NULL, '((0,0))', NULL, NULL, '0/0'),
  (3, '::ffff:1.2.3.4/128', '0.0.0.0/0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE types.catalog_names (id int PRIMARY KEY, relation regclass, routine regprocedure, kind regtype, space regnamespace, dictionary regdictionary);
INSERT INTO types.catalog_names VALUES (1, 'types.texts', 'types.float_gap(double precision, double precision)', 'types.mood', 'shop', 'simple'), (2, 'pg_class', 'now()', 'int4', 'pg_catalog', 'english_stem');
