CREATE TYPE types.mood AS ENUM ('sad', 'so ''so''', 'happy', '');
ALTER TYPE types.mood ADD VALUE 'between' BEFORE 'happy';
COMMENT ON TYPE types.mood IS 'values were added later, in the middle';

CREATE TYPE types.address AS (street text, "house number" varchar(10), zip char(8));
CREATE TYPE types.nested AS (id int, home types.address, tags text[]);
COMMENT ON COLUMN types.address.zip IS 'padded with blanks';

CREATE DOMAIN types.percentage AS numeric(5, 2) DEFAULT 0 NOT NULL CONSTRAINT "0 to 100" CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN types.email AS text CHECK (VALUE ~ '^[^@\s]+@[^@\s]+$');
CREATE DOMAIN types.emails AS types.email[];
COMMENT ON DOMAIN types.percentage IS 'a domain with default, constraint and comment';
COMMENT ON CONSTRAINT "0 to 100" ON DOMAIN types.percentage IS 'both ends included';
-- Gets a constraint later that its rows break: NOT VALID must come back as NOT VALID.
CREATE DOMAIN types.late AS int;

CREATE TYPE types.shout;
CREATE FUNCTION types.shout_in(cstring) RETURNS types.shout LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION types.shout_out(types.shout) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE types.shout (INPUT = types.shout_in, OUTPUT = types.shout_out, LIKE = text);

CREATE FUNCTION types.float_gap(double precision, double precision) RETURNS double precision
  LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 - $2';
CREATE TYPE types.float_span AS RANGE (SUBTYPE = double precision, SUBTYPE_DIFF = types.float_gap);

CREATE COLLATION types.plain FROM "C";
COMMENT ON COLLATION types.plain IS 'bytes';
\if :has_icu
CREATE COLLATION types.ignore_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE COLLATION types.phone_book (PROVIDER = icu, LOCALE = 'de-u-co-phonebk');
CREATE TABLE types.collated (
  folded text COLLATE types.ignore_case UNIQUE,
  german text COLLATE types.phone_book,
  bytes text COLLATE types.plain
);
INSERT INTO types.collated VALUES ('Äpfel', 'Müller', 'z'), ('apfel', 'Mueller', 'Z');
\endif
