SELECT lo_from_bytea(100001, '') \g /dev/null
SELECT lo_from_bytea(100002, convert_to(repeat(E'text\twith tab\n', 5000), 'UTF8')) \g /dev/null
SELECT lo_from_bytea(100003, (SELECT string_agg(decode(md5(n::text), 'hex'), '') FROM generate_series(1, 20000 * :scale) n)) \g /dev/null
SELECT lo_from_bytea(100004, '\x00') \g /dev/null
-- One with a hole: the first half reads as zeros.
SELECT lo_create(100005) \g /dev/null
SELECT lo_put(100005, 300000, '\xdeadbeef') \g /dev/null
ALTER LARGE OBJECT 100002 OWNER TO sample_owner;
GRANT SELECT ON LARGE OBJECT 100002 TO sample_reader;
GRANT SELECT, UPDATE ON LARGE OBJECT 100003 TO "Sample ""Writer""" WITH GRANT OPTION;
GRANT SELECT ON LARGE OBJECT 100004 TO PUBLIC;
COMMENT ON LARGE OBJECT 100003 IS 'random bytes';
CREATE TABLE types.large_objects (name text PRIMARY KEY, content oid);
INSERT INTO types.large_objects VALUES ('empty', 100001), ('text', 100002), ('random', 100003), ('zero', 100004), ('hole', 100005);
