-- About :megabytes MB of dump (bytes of `pg_dump -Fc -Z0`), the same rows every time: 32 tables of four sizes, none more than
-- a twentieth of it, so that eight streams can share it evenly.
SET client_min_messages = warning;
SET synchronous_commit = off;

SELECT format('CREATE TABLE part_%s (id bigint PRIMARY KEY, owner text NOT NULL, body text NOT NULL)', n) FROM generate_series(1, 32) AS n \gexec
SELECT format('INSERT INTO part_%s SELECT n, md5(n::text), repeat(md5((n * %s)::text), 15) FROM generate_series(1, %s) AS n', n, n, (1 + n % 4) * :megabytes * 24) FROM generate_series(1, 32) AS n \gexec

VACUUM ANALYZE;
