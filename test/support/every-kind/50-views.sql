-- Views, rules and triggers of every kind.
CREATE VIEW kinds."limit" AS SELECT id AS "select", name AS "from" FROM kinds.generated_in_the_middle; ALTER VIEW kinds."limit" RENAME COLUMN "from" TO "where is";
CREATE VIEW kinds.on_view (a, b) AS SELECT "select", "where is" FROM kinds."limit" WHERE "select" > 1 WITH CASCADED CHECK OPTION;
CREATE VIEW kinds.many_clauses AS
  WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 5), kept AS MATERIALIZED (SELECT n, n::text AS t FROM numbers)
  SELECT n, GROUPING(n, t) AS grouped, count(*) FILTER (WHERE n > 1) AS counted, percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS middle, ARRAY(SELECT 1) AS list, E'\\.\n' AS "end"
  FROM kept GROUP BY GROUPING SETS ((n, t), ROLLUP (n), ()) HAVING count(*) > 0 ORDER BY n NULLS FIRST FETCH FIRST 10 ROWS WITH TIES;
CREATE VIEW kinds.from_anything AS SELECT x.*, f.ordinality, s.id AS sampled, t.tableoid, t.ctid FROM XMLTABLE('/r/i' PASSING (xml '<r><i a="1">x</i></r>') COLUMNS a int PATH '@a', b text PATH '.' DEFAULT '-') x,
  ROWS FROM (generate_series(1, 2), kinds.series(1, 3)) WITH ORDINALITY f, shop.orders s TABLESAMPLE system (10) REPEATABLE (1), ONLY kinds.left_parent t;
CREATE VIEW kinds.own_operators AS SELECT price OPERATOR(kinds.<) '5'::kinds.cents AS cheap, OPERATOR(kinds.!@#%&|~) price AS negated FROM kinds.placed;
CREATE RECURSIVE VIEW kinds.countdown (n) AS VALUES (10) UNION ALL SELECT n - 1 FROM countdown WHERE n > 0;
CREATE VIEW kinds.empty_view AS SELECT; CREATE VIEW kinds.whole_row AS SELECT p, (p).a FROM kinds.parents p;
\if :has_15
CREATE VIEW kinds.careful WITH (security_barrier = true, security_invoker = true, check_option = local) AS SELECT a, b FROM kinds.parents WHERE a > 0;
\endif
ALTER VIEW kinds.on_view OWNER TO sample_owner; GRANT SELECT (a) ON kinds.on_view TO PUBLIC;

-- Each reads the next one, whose name comes later; one is empty on purpose.
CREATE MATERIALIZED VIEW kinds.z_first AS SELECT part, count(*) AS count FROM kinds.keyed GROUP BY part;
CREATE MATERIALIZED VIEW kinds.m_second (part, "how many") WITH (fillfactor = 50) AS SELECT part, count FROM kinds.z_first;
CREATE VIEW kinds.between_them AS SELECT "how many" FROM kinds.m_second;
CREATE MATERIALIZED VIEW kinds.a_third USING heap AS SELECT sum("how many") AS sum, 'NaN'::float8 AS nan, E'\\.' AS "end" FROM kinds.between_them;
CREATE MATERIALIZED VIEW kinds.b_empty AS SELECT * FROM kinds.a_third WITH NO DATA;
CREATE MATERIALIZED VIEW kinds.c_emptied AS SELECT * FROM kinds.z_first; REFRESH MATERIALIZED VIEW kinds.c_emptied WITH NO DATA;
CREATE UNIQUE INDEX z_first_part ON kinds.z_first (part); ALTER MATERIALIZED VIEW kinds.z_first CLUSTER ON z_first_part; ALTER MATERIALIZED VIEW kinds.m_second OWNER TO sample_owner;
GRANT SELECT ON kinds.z_first TO sample_owner, sample_reader;
ALTER MATERIALIZED VIEW kinds.m_second ALTER "how many" SET STATISTICS 10; ALTER MATERIALIZED VIEW kinds.a_third ALTER "end" SET STORAGE EXTERNAL;
GRANT USAGE ON SCHEMA kinds TO sample_owner;

CREATE RULE "Odd ""rule""" AS ON INSERT TO kinds.owns_two DO ALSO (NOTIFY "odd channel", 'it''s'; UPDATE kinds.owns_two SET b = 1 WHERE a = NEW.a);
CREATE RULE always AS ON UPDATE TO kinds.owns_two WHERE NEW.a IS DISTINCT FROM OLD.a AND NEW.a < -1000000 DO INSTEAD NOTHING; ALTER TABLE kinds.owns_two ENABLE ALWAYS RULE always;
CREATE RULE replica AS ON DELETE TO kinds.owns_two DO ALSO SELECT 1; ALTER TABLE kinds.owns_two ENABLE REPLICA RULE replica;
CREATE RULE into_parents AS ON INSERT TO kinds."limit" DO INSTEAD INSERT INTO kinds.parents VALUES (NEW."select", NEW."where is") ON CONFLICT (a, b) DO UPDATE SET c = excluded.c WHERE parents.a > 0;

CREATE FUNCTION kinds.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% fired', TG_NAME; END $$;
CREATE TRIGGER truncated BEFORE TRUNCATE ON kinds.parents EXECUTE FUNCTION kinds.refuse();
CREATE TRIGGER both_tables AFTER UPDATE ON kinds.parents REFERENCING OLD TABLE AS "old rows" NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION kinds.refuse(E'\\x00', 'it''s', '', E'new\nline', 'ünï');
CREATE TRIGGER some_columns BEFORE UPDATE OF b, c ON kinds.parents FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.* AND NEW.b <> E'\\') EXECUTE FUNCTION kinds.refuse();
CREATE CONSTRAINT TRIGGER not_now AFTER DELETE ON kinds.parents DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW WHEN (OLD.a > 0) EXECUTE FUNCTION kinds.refuse();
CREATE TRIGGER for_replicas AFTER INSERT ON kinds.parents FOR EACH STATEMENT EXECUTE FUNCTION kinds.refuse(); ALTER TABLE kinds.parents ENABLE REPLICA TRIGGER for_replicas;
CREATE TRIGGER for_all BEFORE INSERT ON kinds.placed FOR EACH ROW EXECUTE FUNCTION kinds.do_nothing(); ALTER TABLE kinds.placed ENABLE ALWAYS TRIGGER for_all;
CREATE TRIGGER on_parts AFTER INSERT ON kinds.keyed FOR EACH ROW EXECUTE FUNCTION kinds.refuse(); ALTER TABLE kinds.keyed_1 DISABLE TRIGGER on_parts;
CREATE TRIGGER on_list AFTER DELETE ON kinds.by_list FOR EACH STATEMENT EXECUTE FUNCTION kinds.refuse(); ALTER TABLE kinds.by_list DISABLE TRIGGER on_list;
CREATE TRIGGER view_insert INSTEAD OF INSERT OR UPDATE OR DELETE ON kinds.on_view FOR EACH ROW EXECUTE FUNCTION kinds.refuse();
CREATE TRIGGER foreign_insert BEFORE INSERT ON kinds.by_list_foreign FOR EACH ROW EXECUTE FUNCTION kinds.refuse();
CREATE FUNCTION kinds.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER "Odd ""event""" ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION kinds.watch(); ALTER EVENT TRIGGER "Odd ""event""" ENABLE REPLICA;
CREATE EVENT TRIGGER kinds_rewrites ON table_rewrite EXECUTE FUNCTION kinds.watch(); ALTER EVENT TRIGGER kinds_rewrites ENABLE ALWAYS; ALTER EVENT TRIGGER kinds_rewrites OWNER TO CURRENT_USER;
