-- Functions in every language at hand, and languages, operators and access methods of our own that are made of the system's.
CREATE FUNCTION kinds.handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION kinds.inline_handler(internal) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE FUNCTION kinds.validator(oid) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE TRUSTED LANGUAGE kinds_language HANDLER kinds.handler INLINE kinds.inline_handler VALIDATOR kinds.validator;
CREATE LANGUAGE "Odd ""language""" HANDLER kinds.handler;
GRANT USAGE ON LANGUAGE kinds_language TO sample_owner WITH GRANT OPTION;
REVOKE USAGE ON LANGUAGE kinds_language FROM PUBLIC;
CREATE TRANSFORM FOR bigint LANGUAGE kinds_language (FROM SQL WITH FUNCTION pg_catalog.prsd_lextype(internal), TO SQL WITH FUNCTION pg_catalog.int8recv(internal));

CREATE FUNCTION kinds.in_own_language(n int) RETURNS int LANGUAGE kinds_language AS $fn$ BEGIN RETURN n + 1; END $fn$;
CREATE FUNCTION kinds.in_odd_language() RETURNS text LANGUAGE "Odd ""language""" AS $fn$ BEGIN RETURN E'\\.\n'; END $fn$;
CREATE FUNCTION kinds.transformed(int) RETURNS int LANGUAGE plpgsql TRANSFORM FOR TYPE int AS $$ BEGIN RETURN 1; END $$;
CREATE FUNCTION kinds.numbered() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE AS 'window_row_number';
CREATE FUNCTION kinds.series(int, int) RETURNS SETOF int LANGUAGE internal IMMUTABLE STRICT PARALLEL RESTRICTED COST 7.5 ROWS 33 SUPPORT pg_catalog.generate_series_int4_support AS 'generate_series_int4';
CREATE FUNCTION kinds.configured() RETURNS text LANGUAGE sql STABLE
  SET search_path = "$user", "Odd ""Schema"" / ünï – 表", pg_temp SET "kinds.made_up" = 'a ''b'' \ c' SET "DateStyle" = 'SQL, DMY' SET work_mem FROM CURRENT AS 'SELECT NULL::text';
CREATE FUNCTION kinds."returns ""table"""(VARIADIC "select" text[] DEFAULT '{a,NULL,"b \"c\""}') RETURNS TABLE ("from" int, "where is" text) LANGUAGE sql AS 'SELECT 1, $1[1]';
CREATE FUNCTION kinds.with_out(INOUT a int, OUT b text, IN c date DEFAULT '2026-01-01', OUT d anyelement, IN e anyelement DEFAULT NULL::int) LANGUAGE plpgsql AS $$ BEGIN b := 'x'; END $$;
CREATE FUNCTION kinds.anything(anycompatible, anycompatiblearray, VARIADIC "any") RETURNS int LANGUAGE internal AS 'pg_num_nonnulls';
CREATE FUNCTION kinds.same_name(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION kinds.same_name(text) RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE FUNCTION kinds.same_name() RETURNS int LANGUAGE sql AS 'SELECT 3';
CREATE FUNCTION kinds.nested_quotes() RETURNS text LANGUAGE plpgsql AS '
DECLARE x text := $_$ $$ $_$; y text := $a$ $function$ $a$; -- :name :''name'' \\gset \\.
BEGIN RETURN x || y || E''\\\\.''; END';
\if :has_14
CREATE FUNCTION kinds.standard_value(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n * 2 + 1;
CREATE FUNCTION kinds.standard_body(n int) RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC
  SELECT 'a;b'::text AS text; SELECT name FROM shop.customers WHERE id > n ORDER BY name COLLATE types.plain LIMIT 3;
END;
CREATE PROCEDURE kinds.standard_procedure(IN a int, OUT b int, VARIADIC c text[] DEFAULT '{}') LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT a * 2; END;
\endif
CREATE PROCEDURE kinds."a procedure"() LANGUAGE plpgsql SET lock_timeout = '1s' AS $$ BEGIN NULL; END $$;

-- Aggregates: with states for windows, in parts, hypothetical, sorted, without arguments.
CREATE AGGREGATE kinds.moving(int) (
  SFUNC = int4_sum, STYPE = int8, COMBINEFUNC = int8pl, INITCOND = '0', PARALLEL = SAFE,
  MSFUNC = int4_avg_accum, MINVFUNC = int4_avg_accum_inv, MSTYPE = int8[], MFINALFUNC = int2int4_sum, MINITCOND = '{0,0}'
);
CREATE AGGREGATE kinds.in_parts(numeric) (
  SFUNC = numeric_avg_accum, STYPE = internal, SSPACE = 128, FINALFUNC = numeric_avg, FINALFUNC_MODIFY = READ_WRITE, COMBINEFUNC = numeric_avg_combine,
  SERIALFUNC = numeric_avg_serialize, DESERIALFUNC = numeric_avg_deserialize, PARALLEL = RESTRICTED
);
CREATE AGGREGATE kinds.would_rank(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
CREATE AGGREGATE kinds.smallest(int) (SFUNC = int4smaller, STYPE = int4, COMBINEFUNC = int4smaller, SORTOP = OPERATOR(pg_catalog.<));
CREATE AGGREGATE kinds.how_many(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE AGGREGATE kinds."Odd ""aggregate"""(text) (SFUNC = textcat, STYPE = text, INITCOND = E'it''s \\');

CREATE FUNCTION kinds.less(kinds.cents, kinds.cents) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8lt';
CREATE FUNCTION kinds.less_or_equal(kinds.cents, kinds.cents) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8le';
CREATE FUNCTION kinds.equal(kinds.cents, kinds.cents) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8eq';
CREATE FUNCTION kinds.unequal(kinds.cents, kinds.cents) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8ne';
CREATE FUNCTION kinds.greater_or_equal(kinds.cents, kinds.cents) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8ge';
CREATE FUNCTION kinds.greater(kinds.cents, kinds.cents) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8gt';
CREATE FUNCTION kinds.compare(kinds.cents, kinds.cents) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint8cmp';
CREATE FUNCTION kinds.hash(kinds.cents) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashint8';
CREATE FUNCTION kinds.negated(kinds.cents) RETURNS kinds.cents LANGUAGE internal IMMUTABLE STRICT AS 'int8um';
CREATE OPERATOR kinds.< (LEFTARG = kinds.cents, RIGHTARG = kinds.cents, FUNCTION = kinds.less, COMMUTATOR = OPERATOR(kinds.>), NEGATOR = OPERATOR(kinds.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR kinds.<= (LEFTARG = kinds.cents, RIGHTARG = kinds.cents, FUNCTION = kinds.less_or_equal, COMMUTATOR = OPERATOR(kinds.>=), NEGATOR = OPERATOR(kinds.>));
CREATE OPERATOR kinds.= (LEFTARG = kinds.cents, RIGHTARG = kinds.cents, FUNCTION = kinds.equal, COMMUTATOR = OPERATOR(kinds.=), NEGATOR = OPERATOR(kinds.<>), HASHES, MERGES, RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR kinds.<> (LEFTARG = kinds.cents, RIGHTARG = kinds.cents, FUNCTION = kinds.unequal, COMMUTATOR = OPERATOR(kinds.<>), NEGATOR = OPERATOR(kinds.=));
CREATE OPERATOR kinds.>= (LEFTARG = kinds.cents, RIGHTARG = kinds.cents, FUNCTION = kinds.greater_or_equal);
CREATE OPERATOR kinds.> (LEFTARG = kinds.cents, RIGHTARG = kinds.cents, FUNCTION = kinds.greater);
CREATE OPERATOR kinds.!@#%&|~ (RIGHTARG = kinds.cents, FUNCTION = kinds.negated);
CREATE OPERATOR FAMILY kinds.cents_order USING btree;
CREATE OPERATOR CLASS kinds.cents_class DEFAULT FOR TYPE kinds.cents USING btree FAMILY kinds.cents_order AS
  OPERATOR 1 kinds.<, OPERATOR 2 kinds.<=, OPERATOR 3 kinds.=, OPERATOR 4 kinds.>=, OPERATOR 5 kinds.>, FUNCTION 1 kinds.compare(kinds.cents, kinds.cents);
CREATE OPERATOR CLASS kinds.cents_hashed DEFAULT FOR TYPE kinds.cents USING hash AS OPERATOR 1 kinds.=, FUNCTION 1 kinds.hash(kinds.cents);
-- Members that belong to the family only, not to a class of it.
CREATE FUNCTION kinds.less(kinds.cents, bigint) RETURNS boolean LANGUAGE internal IMMUTABLE STRICT AS 'int8lt';
CREATE FUNCTION kinds.compare(kinds.cents, bigint) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint8cmp';
CREATE OPERATOR kinds.< (LEFTARG = kinds.cents, RIGHTARG = bigint, FUNCTION = kinds.less);
ALTER OPERATOR FAMILY kinds.cents_order USING btree ADD OPERATOR 1 kinds.< (kinds.cents, bigint), FUNCTION 1 (kinds.cents, bigint) kinds.compare(kinds.cents, bigint);
CREATE OPERATOR CLASS kinds.nearest FOR TYPE point USING gist AS STORAGE box,
  OPERATOR 11 |>>, OPERATOR 15 <-> FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 gist_point_consistent(internal, point, int2, oid, internal), FUNCTION 2 gist_box_union(internal, internal), FUNCTION 3 gist_point_compress(internal),
  FUNCTION 5 gist_box_penalty(internal, internal, internal), FUNCTION 6 gist_box_picksplit(internal, internal), FUNCTION 7 gist_box_same(box, box, internal),
  FUNCTION 8 (point, point) gist_point_distance(internal, point, int2, oid, internal);
ALTER OPERATOR CLASS kinds.cents_class USING btree OWNER TO sample_owner;

CREATE ACCESS METHOD kinds_gist TYPE INDEX HANDLER gisthandler;
CREATE OPERATOR CLASS kinds.boxes DEFAULT FOR TYPE box USING kinds_gist AS
  OPERATOR 1 <<, OPERATOR 3 &&, OPERATOR 7 @>, OPERATOR 8 <@,
  FUNCTION 1 gist_box_consistent(internal, box, int2, oid, internal), FUNCTION 2 gist_box_union(internal, internal),
  FUNCTION 5 gist_box_penalty(internal, internal, internal), FUNCTION 6 gist_box_picksplit(internal, internal), FUNCTION 7 gist_box_same(box, box, internal);
CREATE TABLE kinds.placed (price kinds.cents PRIMARY KEY, place point, area box);
INSERT INTO kinds.placed SELECT n::text::kinds.cents, point(n, -n), box(point(n, n), point(0, 0)) FROM generate_series(1, 50) n;
CREATE INDEX placed_hashed ON kinds.placed USING hash (price);
CREATE INDEX placed_nearest ON kinds.placed USING gist (place kinds.nearest);
CREATE INDEX placed_areas ON kinds.placed USING kinds_gist (area) WITH (fillfactor = 50, buffering = off);

CREATE TEXT SEARCH TEMPLATE kinds.simple_words (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY kinds."Odd ""dictionary""" (TEMPLATE = kinds.simple_words, STOPWORDS = 'english', ACCEPT = false);
CREATE TEXT SEARCH PARSER kinds.own_parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, HEADLINE = prsd_headline, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH CONFIGURATION kinds.own_search (PARSER = kinds.own_parser);
ALTER TEXT SEARCH CONFIGURATION kinds.own_search ADD MAPPING FOR asciiword, word, numword WITH kinds."Odd ""dictionary""", simple;
CREATE TEXT SEARCH CONFIGURATION kinds.no_mappings (PARSER = "default");
