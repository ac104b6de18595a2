\if :has_hstore
CREATE EXTENSION hstore WITH SCHEMA extensions;
COMMENT ON EXTENSION hstore IS 'a comment of our own';
CREATE TABLE types.hstores (id int PRIMARY KEY, pairs extensions.hstore);
INSERT INTO types.hstores VALUES (1, 'a=>1, "b c"=>NULL, "=>"=>"\"quoted\""'), (2, ''), (3, NULL);
CREATE INDEX hstores_pairs ON types.hstores USING gin (pairs);
\endif

\if :has_citext
CREATE EXTENSION citext WITH SCHEMA extensions;
CREATE TABLE types.citexts (name extensions.citext PRIMARY KEY);
INSERT INTO types.citexts VALUES ('Straße'), ('MiXeD'), ('');
\endif

\if :has_trgm
CREATE EXTENSION pg_trgm;
CREATE TABLE types.trigrams (body text);
INSERT INTO types.trigrams SELECT 'word ' || n FROM generate_series(1, 100) n;
CREATE INDEX trigrams_body ON types.trigrams USING gin (body gin_trgm_ops);
CREATE INDEX trigrams_signed ON types.trigrams USING gist (body gist_trgm_ops (siglen = 32));
\endif

\if :has_btree_gist
CREATE EXTENSION btree_gist WITH SCHEMA extensions;
CREATE TABLE types.bookings (
  room int NOT NULL,
  during tstzrange NOT NULL,
  CONSTRAINT no_two_at_once EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (NOT isempty(during))
);
INSERT INTO types.bookings VALUES
  (1, '[2026-01-01, 2026-01-02)'), (1, '[2026-01-02, 2026-01-03)'), (2, '(-infinity, infinity)'), (3, 'empty'), (3, 'empty');
\endif
