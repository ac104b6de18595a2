-- What the sample has not: every kind of object that pg_dump knows, in the forms that are easy to forget.
SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) AS has_lz4,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'every_kind') AS has_every_kind,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'file_fdw') AS has_file_fdw
\gset

CREATE SCHEMA kinds AUTHORIZATION "Sample ""Writer""";

\if :has_every_kind
-- Has configuration tables, whose rows are dumped although the tables belong to the extension.
CREATE SCHEMA settings;
CREATE EXTENSION every_kind WITH SCHEMA settings;
INSERT INTO settings.every_setting VALUES ('ours', E'a\tvalue'), ('also ours', NULL);
INSERT INTO settings.whole_table (note) VALUES ('all of its rows'), ('');
GRANT SELECT ON settings.every_setting TO sample_reader;
CREATE FUNCTION kinds.needs_extension() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
ALTER FUNCTION kinds.needs_extension() DEPENDS ON EXTENSION every_kind;
\endif

CREATE TYPE kinds.only_a_shell;
CREATE TYPE kinds.no_values AS ENUM ();
CREATE TYPE kinds.no_columns AS ();
CREATE TYPE kinds.with_collation AS (body text COLLATE "C", "order" int);
ALTER TYPE kinds.with_collation ADD ATTRIBUTE gone int, ADD ATTRIBUTE "last one" numeric(5, 1);
ALTER TYPE kinds.with_collation DROP ATTRIBUTE gone;

CREATE DOMAIN kinds.even AS int CONSTRAINT is_even CHECK (VALUE % 2 = 0) CONSTRAINT "is small" CHECK (VALUE < 1000);
ALTER DOMAIN kinds.even ADD CONSTRAINT is_positive CHECK (VALUE > 0) NOT VALID;
CREATE DOMAIN kinds.even_and_set AS kinds.even DEFAULT 2 NOT NULL;
CREATE DOMAIN kinds.bytewise AS varchar(30) COLLATE "POSIX" DEFAULT E'a ''quoted'' \\ default';
CREATE DOMAIN kinds.checked_pair AS kinds.with_collation CHECK ((VALUE).body <> '');
CREATE DOMAIN kinds.checked_range AS int4range CHECK (NOT isempty(VALUE));
ALTER DOMAIN kinds.even OWNER TO sample_owner;
GRANT USAGE ON TYPE kinds.even TO sample_reader WITH GRANT OPTION;

\if :has_14
CREATE TYPE kinds.text_range AS RANGE (SUBTYPE = text, COLLATION = "C", SUBTYPE_OPCLASS = text_pattern_ops, MULTIRANGE_TYPE_NAME = kinds.several_texts);
\else
CREATE TYPE kinds.text_range AS RANGE (SUBTYPE = text, COLLATION = "C", SUBTYPE_OPCLASS = text_pattern_ops);
\endif
CREATE TYPE kinds.whole_range;
CREATE FUNCTION kinds.to_canonical(kinds.whole_range) RETURNS kinds.whole_range LANGUAGE internal IMMUTABLE STRICT AS 'int4range_canonical';
CREATE TYPE kinds.whole_range AS RANGE (SUBTYPE = int4, CANONICAL = kinds.to_canonical);

-- A base type with everything that one can have.
CREATE TYPE kinds.label;
CREATE FUNCTION kinds.label_in(cstring, oid, int4) RETURNS kinds.label LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'varcharin';
CREATE FUNCTION kinds.label_out(kinds.label) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'varcharout';
CREATE FUNCTION kinds.label_receive(internal, oid, int4) RETURNS kinds.label LANGUAGE internal STABLE STRICT AS 'varcharrecv';
CREATE FUNCTION kinds.label_send(kinds.label) RETURNS bytea LANGUAGE internal STABLE STRICT AS 'varcharsend';
CREATE FUNCTION kinds.label_modifier_in(cstring[]) RETURNS int4 LANGUAGE internal IMMUTABLE STRICT AS 'varchartypmodin';
CREATE FUNCTION kinds.label_modifier_out(int4) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'varchartypmodout';
CREATE TYPE kinds.label (
  INPUT = kinds.label_in, OUTPUT = kinds.label_out, RECEIVE = kinds.label_receive, SEND = kinds.label_send,
  TYPMOD_IN = kinds.label_modifier_in, TYPMOD_OUT = kinds.label_modifier_out, INTERNALLENGTH = VARIABLE, ALIGNMENT = int4,
  STORAGE = extended, CATEGORY = 'S', DEFAULT = 'it''s', DELIMITER = ';', COLLATABLE = true
);
CREATE FUNCTION kinds.label_cut(kinds.label, int4, boolean) RETURNS kinds.label LANGUAGE internal IMMUTABLE STRICT AS 'varchar';
CREATE CAST (kinds.label AS kinds.label) WITH FUNCTION kinds.label_cut(kinds.label, int4, boolean) AS IMPLICIT;
CREATE CAST (kinds.label AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (kinds.label AS integer) WITH INOUT AS ASSIGNMENT;
CREATE CAST (integer AS kinds.label) WITH INOUT;

-- One that is passed by value, with its own order.
CREATE TYPE kinds.cents;
CREATE FUNCTION kinds.cents_in(cstring) RETURNS kinds.cents LANGUAGE internal IMMUTABLE STRICT AS 'int8in';
CREATE FUNCTION kinds.cents_out(kinds.cents) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int8out';
CREATE TYPE kinds.cents (INPUT = kinds.cents_in, OUTPUT = kinds.cents_out, LIKE = int8, CATEGORY = 'N', PREFERRED = false, DEFAULT = '0');
\if :has_14
CREATE TYPE kinds.pair;
CREATE FUNCTION kinds.pair_in(cstring) RETURNS kinds.pair LANGUAGE internal IMMUTABLE STRICT AS 'point_in';
CREATE FUNCTION kinds.pair_out(kinds.pair) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'point_out';
CREATE TYPE kinds.pair (INPUT = kinds.pair_in, OUTPUT = kinds.pair_out, LIKE = point, ELEMENT = float8, SUBSCRIPT = raw_array_subscript_handler);
CREATE TABLE kinds.pairs (pair kinds.pair, several kinds.pair[]);
INSERT INTO kinds.pairs VALUES ('(1.5,-0)', '{"(1,2)","(NaN,Infinity)"}'), (NULL, '{}');
\endif

CREATE TABLE kinds.own_types (
  label kinds.label(5), several kinds.label[], unlimited kinds.label DEFAULT 'x', price kinds.cents, even kinds.even, set kinds.even_and_set,
  bytewise kinds.bytewise, pair kinds.checked_pair, range kinds.checked_range, texts kinds.text_range, whole kinds.whole_range, nothing kinds.no_columns
);
INSERT INTO kinds.own_types VALUES
  ('12345', '{a;"b;c";NULL;""}', '', '-1', 2, 4, '', ROW('x', NULL, 1.5), '[1,3)', '["a, b",c)', '[1,2]', ROW()),
  (NULL, NULL, NULL, NULL, NULL, 8, NULL, NULL, NULL, 'empty', 'empty', NULL);

CREATE COLLATION kinds."Odd ""collation""" FROM "POSIX";
CREATE COLLATION kinds.two_parts (LC_COLLATE = 'C', LC_CTYPE = 'POSIX');
\if :has_icu
CREATE COLLATION kinds.numeric_order (PROVIDER = icu, LOCALE = 'en-u-kn-true');
CREATE COLLATION kinds.no_accents (PROVIDER = icu, LOCALE = 'und-u-ks-level1', DETERMINISTIC = false);
CREATE TABLE kinds.by_collation (code text COLLATE kinds.numeric_order PRIMARY KEY, folded text COLLATE kinds.no_accents UNIQUE);
INSERT INTO kinds.by_collation VALUES ('a10', 'résumé'), ('a9', 'other'), ('a010', '');
CREATE INDEX by_other_collation ON kinds.by_collation (folded COLLATE "C" DESC, code COLLATE kinds."Odd ""collation""");
\endif
CREATE DEFAULT CONVERSION kinds.from_latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
