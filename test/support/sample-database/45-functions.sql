CREATE FUNCTION shop.add_tax(amount numeric, rate numeric DEFAULT 0.19, VARIADIC extras numeric[] DEFAULT '{}') RETURNS numeric
  LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5 AS $$ SELECT round(amount * (1 + rate), 2) + coalesce((SELECT sum(x) FROM unnest(extras) x), 0) $$;
COMMENT ON FUNCTION shop.add_tax(numeric, numeric, numeric[]) IS 'with a default and a variadic argument';
CREATE FUNCTION shop.tricky_body() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = shop, pg_temp SET work_mem = '1MB' AS $outer$
BEGIN
  -- \. $$ $inner$ '; DROP TABLE shop.orders; --
  RETURN $inner$\restrict \N$$ 'quoted' ; $inner$ || E'\n\t\\';
END
$outer$;
CREATE FUNCTION shop.split(source text, OUT head text, OUT tail text) LANGUAGE sql IMMUTABLE AS $$ SELECT left(source, 1), substr(source, 2) $$;
CREATE FUNCTION shop.big_orders(minimum numeric) RETURNS TABLE (id bigint, total numeric) LANGUAGE sql STABLE ROWS 10 AS 'SELECT id, total FROM shop.orders WHERE total >= minimum';
CREATE FUNCTION shop.same(anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE LEAKPROOF AS 'SELECT $1';
CREATE FUNCTION shop.customers_of(shop.orders) RETURNS SETOF shop.customers LANGUAGE sql STABLE AS 'SELECT * FROM shop.customers WHERE id = $1.customer_id';
\if :has_14
CREATE FUNCTION shop.order_count() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM shop.orders; END;
CREATE PROCEDURE shop.touch_with_result(INOUT n int, OUT twice int) LANGUAGE plpgsql AS $$ BEGIN twice := n * 2; END $$;
\endif
CREATE PROCEDURE shop.touch(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
COMMENT ON PROCEDURE shop.touch(int) IS 'plus one';

CREATE FUNCTION shop.join_step(state text, next text, glue text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(state || glue, '') || next $$;
CREATE AGGREGATE shop.join_all(text, text) (SFUNC = shop.join_step, STYPE = text);
CREATE AGGREGATE shop.middle(double precision ORDER BY double precision) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_cont_float8_final);
COMMENT ON AGGREGATE shop.join_all(text, text) IS 'like string_agg';

CREATE FUNCTION types.address_text(types.address) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT concat_ws(' ', $1.street, $1."house number") $$;
CREATE CAST (types.address AS text) WITH FUNCTION types.address_text(types.address) AS ASSIGNMENT;
COMMENT ON CAST (types.address AS text) IS 'street and number';
CREATE FUNCTION types.same_street(types.address, types.address) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.street = $2.street';
CREATE OPERATOR types.~=~ (LEFTARG = types.address, RIGHTARG = types.address, FUNCTION = types.same_street, COMMUTATOR = OPERATOR(types.~=~), RESTRICT = eqsel, JOIN = eqjoinsel);
COMMENT ON OPERATOR types.~=~ (types.address, types.address) IS 'the same street';
CREATE OPERATOR FAMILY types.backwards USING btree;
CREATE OPERATOR CLASS types.backwards_int FOR TYPE int4 USING btree FAMILY types.backwards AS
  OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(int4, int4);
CREATE CONVERSION types.to_latin FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;

CREATE TABLE history.audit (id int GENERATED ALWAYS AS IDENTITY, what text, at timestamptz DEFAULT timestamptz '2026-01-01');
CREATE FUNCTION history.write_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO history.audit (what) VALUES (TG_NAME || ' ' || TG_OP || coalesce(' ' || TG_ARGV[0], ''));
  RETURN coalesce(NEW, OLD);
END
$$;
CREATE FUNCTION history.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by %', TG_NAME; END $$;
CREATE TRIGGER orders_audit AFTER INSERT OR UPDATE OF total ON shop.orders FOR EACH ROW WHEN (NEW.total > 1) EXECUTE FUNCTION history.write_audit('it''s');
CREATE TRIGGER "orders ""odd""" BEFORE TRUNCATE ON shop.orders FOR EACH STATEMENT EXECUTE FUNCTION history.refuse();
CREATE TRIGGER orders_disabled BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION history.refuse();
ALTER TABLE shop.orders DISABLE TRIGGER orders_disabled;
CREATE TRIGGER orders_replica BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION history.refuse();
ALTER TABLE shop.orders ENABLE REPLICA TRIGGER orders_replica;
CREATE TRIGGER products_always AFTER DELETE ON shop.products REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION history.write_audit();
ALTER TABLE shop.products ENABLE ALWAYS TRIGGER products_always;
CREATE CONSTRAINT TRIGGER lines_checked AFTER INSERT OR UPDATE ON shop.order_lines FROM shop.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION history.write_audit();
CREATE TRIGGER events_audit AFTER INSERT ON history.events FOR EACH ROW EXECUTE FUNCTION history.write_audit();
COMMENT ON TRIGGER orders_audit ON shop.orders IS 'writes a row per row: must not fire during a restore';
INSERT INTO shop.orders (customer_id, placed_at, total) VALUES (1000, '2026-06-01', 5);
INSERT INTO history.events (at, kind) VALUES ('2026-01-05', 'one that the trigger sees');

CREATE FUNCTION history.watch_drops() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;
CREATE EVENT TRIGGER sample_watch_drops ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP VIEW') EXECUTE FUNCTION history.watch_drops();
CREATE EVENT TRIGGER sample_disabled ON ddl_command_start EXECUTE FUNCTION history.watch_drops();
ALTER EVENT TRIGGER sample_disabled DISABLE;
COMMENT ON EVENT TRIGGER sample_watch_drops IS 'looks only';
