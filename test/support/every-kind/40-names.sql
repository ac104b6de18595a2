-- Names that break quoting, patterns, scripts and psql: each as a schema, in it two tables (one called the same in every
-- schema), and each as a column, an index, a sequence, a view, a function, a type, a trigger and a constraint.
CREATE FUNCTION kinds.do_nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
DO $names$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'select', 'user', 'table', 'default', 'all', 'none', 'public ', 'PUBLIC', 'Public', 'true', '1', '1e5', '-1', '-t', '--data-only',
    E'two\nlines', E'\nfirst line empty', E'windows\r\nline', E'a\ttab', E'\u0001\u001f\u007f', ' ', '  around  ', '.', 'a.b', '"', '""', 'a"."b', '''', 'it''s', '`id`', '$(id)', '$HOME',
    '%', '%s%I%n', ':name', ':''name''', ':"name"', '::int', '$$', '$1', '$function$', '\', '\.', '\N', '\connect x', '\\', E'end\n\\.\nmore', '-- comment', E'/* open', '*/', ';', '; DROP SCHEMA kinds; --',
    '*', '?', 'a*', '[a-z]+', 'a|b', '(x)', '^a$', '{1,2}', '+', '!', '@', '#', '&', '~', '=', ',', '<a>', 'ünï', 'Ünï', 'ß', '漢字', '🐘', 'עברית', E'e\u0301', E'\u200b', E'\ufeff', E'\u2028', E'\u00a0',
    repeat('x', 63), repeat('漢', 21), repeat('"', 63), repeat('\', 62)
  ] LOOP
    EXECUTE format('CREATE SCHEMA %I', name);
    EXECUTE format('CREATE TABLE %1$I.%1$I (%1$I text DEFAULT %1$L CONSTRAINT %1$I CHECK (%1$I <> ''never''), id serial, gone int)', name);
    EXECUTE format('ALTER TABLE %1$I.%1$I DROP gone', name);
    EXECUTE format('INSERT INTO %1$I.%1$I VALUES (DEFAULT), (NULL), (E''\\\\.'')', name);
    EXECUTE format('CREATE TABLE %1$I.same_name (name text); INSERT INTO %1$I.same_name VALUES (%1$L)', name);
    EXECUTE format('CREATE INDEX %2$I ON %1$I.%1$I (%1$I)', name, left(name, 12) || ' i');
    EXECUTE format('CREATE SEQUENCE %1$I.%2$I; CREATE VIEW %1$I.%3$I AS SELECT %1$I AS %2$I FROM %1$I.%1$I', name, left(name, 12) || ' s', left(name, 12) || ' v');
    EXECUTE format('CREATE FUNCTION %1$I.%1$I(%3$I text DEFAULT %1$L) RETURNS text LANGUAGE plpgsql AS %2$L', name, E'BEGIN\n  RETURN ' || quote_literal(name) || E';\nEND', left(name, 12) || ' p');
    EXECUTE format('CREATE TYPE %1$I.%2$I AS ENUM (%3$L, %2$L)', name, left(name, 12) || ' t', left(name, 11));
    EXECUTE format('CREATE TRIGGER %1$I AFTER INSERT ON %1$I.%1$I FOR EACH ROW EXECUTE FUNCTION kinds.do_nothing(%1$L)', name);
    EXECUTE format('COMMENT ON TABLE %1$I.%1$I IS %1$L; COMMENT ON COLUMN %1$I.%1$I.%1$I IS %1$L', name);
  END LOOP;
END
$names$;
