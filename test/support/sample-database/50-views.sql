CREATE VIEW shop.cheap AS SELECT * FROM shop.products WHERE price < 50 WITH LOCAL CHECK OPTION;
CREATE VIEW shop.cheap_and_red WITH (security_barrier) AS SELECT id, sku, price FROM shop.cheap WHERE colour = 'red' WITH CASCADED CHECK OPTION;
ALTER VIEW shop.cheap ALTER COLUMN colour SET DEFAULT 'red';
COMMENT ON VIEW shop.cheap IS 'below 50'; COMMENT ON COLUMN shop.cheap.price IS 'always below 50';
CREATE RECURSIVE VIEW shop.category_paths (id, path) AS
  SELECT id, name FROM shop.categories WHERE parent IS NULL UNION ALL SELECT c.id, p.path || ' > ' || c.name FROM shop.categories c JOIN category_paths p ON c.parent = p.id;
CREATE VIEW shop.order_totals AS
  SELECT o.*, sum(l.quantity) OVER w AS quantity, row_number() OVER w AS "position", (o.note)::varchar(10) AS short_note
  FROM shop.orders o LEFT JOIN LATERAL (SELECT * FROM shop.order_lines l WHERE l.order_id = o.id) l ON true WINDOW w AS (PARTITION BY o.customer_id ORDER BY o.placed_at DESC NULLS LAST);
-- A view whose column list comes from a primary key: needs the key before the view.
CREATE VIEW shop.customers_with_orders AS SELECT c.id, c.name, count(o.id) AS orders FROM shop.customers c LEFT JOIN shop.orders o ON o.customer_id = c.id GROUP BY c.id;
-- Two views that need each other.
CREATE VIEW shop.chicken AS SELECT 1 AS id; CREATE VIEW shop.egg AS SELECT id FROM shop.chicken; CREATE OR REPLACE VIEW shop.chicken AS SELECT 1 AS id WHERE NOT EXISTS (SELECT to_regclass('shop.egg'));
CREATE VIEW shop.writable AS SELECT id, name FROM shop.categories;
CREATE RULE writable_insert AS ON INSERT TO shop.writable DO INSTEAD INSERT INTO shop.categories (id, name) VALUES (NEW.id, NEW.name) RETURNING id, name;
CREATE RULE writable_delete AS ON DELETE TO shop.writable WHERE OLD.id > 100 DO ALSO DELETE FROM shop.categories WHERE id = OLD.id AND name = E'\\';
CREATE RULE writable_delete_all AS ON DELETE TO shop.writable DO INSTEAD NOTHING;
COMMENT ON RULE writable_insert ON shop.writable IS 'rewritten';
CREATE RULE "no deletes" AS ON DELETE TO types.empty_table DO INSTEAD NOTHING; ALTER TABLE types.empty_table DISABLE RULE "no deletes";
CREATE TABLE shop.categories_log (id int); CREATE FUNCTION shop.insert_instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE VIEW shop.by_trigger AS SELECT id FROM shop.categories_log; CREATE TRIGGER by_trigger_insert INSTEAD OF INSERT ON shop.by_trigger FOR EACH ROW EXECUTE FUNCTION shop.insert_instead();

CREATE MATERIALIZED VIEW shop.sales AS SELECT customer_id, count(*) AS orders, sum(total) AS total FROM shop.orders GROUP BY customer_id;
CREATE UNIQUE INDEX sales_customer ON shop.sales (customer_id);
-- Named so that alphabetical order would refresh it too early.
CREATE MATERIALIZED VIEW shop.a_summary WITH (fillfactor = 90) AS SELECT orders, count(*) AS customers FROM shop.sales GROUP BY orders;
CREATE MATERIALIZED VIEW shop.not_filled AS SELECT * FROM shop.a_summary WITH NO DATA;
CREATE INDEX not_filled_orders ON shop.not_filled (orders);
COMMENT ON MATERIALIZED VIEW shop.not_filled IS 'never refreshed';
\if :has_15
CREATE VIEW shop.as_caller WITH (security_invoker) AS SELECT * FROM shop.products;
\endif
