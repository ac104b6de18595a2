-- A database that is made in a moment: two tables with a key between them, a sequence, a view, a function, a large object.
CREATE TABLE people (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  note text,
  data jsonb
);
INSERT INTO people (name, note, data)
  SELECT 'Person ' || n, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE E'line\nline\t\\' END, jsonb_build_object('n', n)
  FROM generate_series(1, 100 * :scale) n;
CREATE TABLE visits (person_id int REFERENCES people, at timestamptz NOT NULL, PRIMARY KEY (person_id, at));
INSERT INTO visits SELECT n, timestamptz '2026-01-01' + n * interval '1 hour' FROM generate_series(1, 100 * :scale) n;
CREATE VIEW visitors AS SELECT name, at FROM people JOIN visits ON person_id = id;
CREATE FUNCTION greet(who text) RETURNS text LANGUAGE sql AS $$ SELECT 'hello ' || who $$;
SELECT lo_from_bytea(200001, 'a large object') \g /dev/null
