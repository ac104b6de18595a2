-- Large objects: many, one large by :scale, the highest number, every sort of owner, privilege and comment.
SELECT count(lo_from_bytea((300000 + n)::oid, decode(md5(n::text), 'hex'))) FROM generate_series(1, 300) n \g /dev/null
SELECT lo_from_bytea(4294967295, '\x5c2e0a'), lo_create(2147483648) \g /dev/null
SELECT lo_from_bytea(300000, (SELECT string_agg(sha512(n::text::bytea), '') FROM generate_series(1, (32768 * :scale)::int) n)) \g /dev/null
SELECT lo_put(300001, 10000000, '\x01') \g /dev/null
ALTER LARGE OBJECT 300000 OWNER TO "Sample ""Writer"""; GRANT SELECT ON LARGE OBJECT 300000 TO sample_reader; GRANT ALL ON LARGE OBJECT 300002 TO sample_owner WITH GRANT OPTION; REVOKE ALL ON LARGE OBJECT 300003 FROM CURRENT_USER;
SET SESSION AUTHORIZATION sample_owner; GRANT UPDATE ON LARGE OBJECT 300002 TO PUBLIC; RESET SESSION AUTHORIZATION;
COMMENT ON LARGE OBJECT 4294967295 IS E'it''s the last\n\\.'; COMMENT ON LARGE OBJECT 300000 IS 'large';
