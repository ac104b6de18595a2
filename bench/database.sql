-- A mixed database whose dump has about :megabytes MB (bytes of `pg_dump -Fc -Z0`). The same rows every time.
-- Shares of the dump: text 30 %, jsonb 25 %, time series 20 %, incompressible bytea 15 %, keyed rows 8 %, small tables 2 %.
SET client_min_messages = warning;
SET synchronous_commit = off;
SET work_mem = '256MB';
SET maintenance_work_mem = '256MB';

CREATE TABLE articles (id bigint PRIMARY KEY, author int NOT NULL, written_at timestamptz NOT NULL, title text NOT NULL, body text NOT NULL);
SELECT set_config('bench.articles', (:megabytes * 240)::text, false), setseed(0.5) \g /dev/null
DO $prose$
DECLARE
  -- Elements of fixed width (`name`) are found without walking the array.
  phrases name[] := (
    SELECT array_agg((left(md5(n::text), 3 + n % 7) || ' ' || left(md5((n * 7 % 601)::text), 2 + n % 6) || ' ' || left(md5((n * 31 % 311)::text), 2 + n % 3))::name)
    FROM generate_series(1, 32768) AS n);
  body text;
BEGIN
  FOR n IN 1 .. current_setting('bench.articles')::int LOOP
    body := '';
    FOR phrase IN 1 .. 75 LOOP
      body := body || phrases[1 + (random() * 32767)::int] || CASE phrase % 15 WHEN 0 THEN E'.\n' ELSE ' ' END;
    END LOOP;
    INSERT INTO articles VALUES (n, n % 1000, timestamptz '2025-01-01' + n * interval '17 seconds', phrases[1 + n % 32768] || ' ' || n, body);
  END LOOP;
END
$prose$;
CREATE INDEX ON articles (author, written_at);

CREATE TABLE documents (id bigint PRIMARY KEY, body jsonb NOT NULL);
INSERT INTO documents
SELECT n, jsonb_build_object(
  'event', (ARRAY['login', 'logout', 'purchase', 'page view', 'refund'])[1 + n % 5], 'user', n::bigint * 7919 % 100003, 'session', md5(n::text),
  'address', '10.' || n % 256 || '.' || n / 256 % 256 || '.' || n::bigint * 31 % 256, 'duration', (n::bigint * 7 % 100000) / 1000.0,
  'path', '/shop/' || left(md5((n % 5000)::text), 12) || '/item/' || n % 9973, 'ok', n % 13 > 0, 'referrer', NULL,
  'tags', jsonb_build_array('tag ' || n % 17, 'tag ' || n % 29), 'device', jsonb_build_object('os', 'os ' || n % 5, 'version', n % 100 / 10.0, 'screen', jsonb_build_array(1920, 1080)))
FROM generate_series(1, :megabytes * 700) AS n;
CREATE INDEX ON documents USING gin (body jsonb_path_ops);

CREATE TABLE measurements (sensor int NOT NULL, at timestamptz NOT NULL, temperature double precision, pressure numeric(10, 4), humidity real, state smallint, PRIMARY KEY (sensor, at));
INSERT INTO measurements
SELECT n % 500, timestamptz '2025-01-01' + n * interval '1 second', 20 + 10 * sin(n / 5000.0) + hashint4(n) % 1000 / 1000.0, 1000 + hashint4(n + 1) % 500000 / 10000.0,
  50 + hashint4(n + 2) % 300 / 10.0, CASE WHEN n % 100 = 0 THEN NULL ELSE n % 4 END
FROM generate_series(1, :megabytes * 2600) AS n;

CREATE TABLE files (id bigint PRIMARY KEY, name text NOT NULL, content bytea NOT NULL);
ALTER TABLE files ALTER content SET STORAGE EXTERNAL;
INSERT INTO files
SELECT n, 'file-' || n || '.bin', (SELECT string_agg(sha512((n || '/' || block)::bytea), '' ORDER BY block) FROM generate_series(1, 128) AS block)
FROM generate_series(1, :megabytes * 9) AS n;

CREATE TABLE accounts (id uuid PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY UNIQUE, owner text NOT NULL, opened date NOT NULL);
INSERT INTO accounts (id, owner, opened)
SELECT md5('account' || n)::uuid, 'Owner ' || n::bigint * 7919 % 100003, date '2000-01-01' + n % 9000 FROM generate_series(1, :megabytes * 200) AS n;
CREATE TABLE bookings (id bigint PRIMARY KEY, account uuid NOT NULL, amount numeric(14, 2) NOT NULL, purpose text);
INSERT INTO bookings
SELECT n, md5('account' || 1 + n % (:megabytes * 200))::uuid, hashint4(n) / 100.0, CASE WHEN n % 3 > 0 THEN 'purpose ' || n % 1013 END FROM generate_series(1, :megabytes * 900) AS n;
ALTER TABLE bookings ADD FOREIGN KEY (account) REFERENCES accounts;
CREATE INDEX ON bookings (account);

SELECT format('CREATE TABLE small_%s (id int PRIMARY KEY, name text, value numeric)', n) FROM generate_series(1, 200) AS n \gexec
SELECT format('INSERT INTO small_%s SELECT n, md5((n * %s)::text), n * 1.01 FROM generate_series(1, %s) AS n', n, n, :megabytes * 3) FROM generate_series(1, 200) AS n \gexec
SELECT count(lo_from_bytea(0, sha512(n::text::bytea))) FROM generate_series(1, 200) AS n \g /dev/null

VACUUM ANALYZE;
