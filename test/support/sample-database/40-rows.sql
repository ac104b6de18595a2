-- Rows by :scale; the same ones every time.
INSERT INTO shop.customers (email, name, profile, created_at)
  SELECT CASE WHEN n % 10 > 0 THEN 'c' || n || '@example.com' END, 'Customer ' || n, jsonb_build_object('nick', md5(n::text), 'age', n % 90, 'tags', ARRAY[n, n + 1]),
         timestamptz '2025-01-01' + n * interval '1 minute'
  FROM generate_series(1, 200 * :scale) n;
INSERT INTO shop.products (sku, colour, price, picture, tags)
  SELECT 'SKU-' || n / 2, CASE n % 2 WHEN 0 THEN 'red' ELSE 'blue' END, n * 1.37, decode(md5(n::text) || md5((n + 1)::text), 'hex'), ARRAY['t' || n % 7, '', 'ü']
  FROM generate_series(1, 100 * :scale) n;
INSERT INTO shop.orders (customer_id, placed_at, total, note)
  SELECT 1000 + 7 * (n % (200 * :scale)), timestamptz '2026-01-01' + n * interval '37 seconds', n / 7.0, CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE E'line one\nline\ttwo ' || n END
  FROM generate_series(1, 1000 * :scale) n;
INSERT INTO shop.order_lines
  SELECT n, line, 'SKU-' || n % (50 * :scale), CASE WHEN n % (50 * :scale) = 0 THEN 'blue' ELSE 'red' END, line * n % 17
  FROM generate_series(1, 1000 * :scale) n, generate_series(1, 2) line;
UPDATE shop.customers SET favourite_order = (id - 1000) / 7 + 1 WHERE id % 3 = 0 AND (id - 1000) / 7 > 0;
INSERT INTO shop.categories VALUES (1, NULL, 'all'), (2, 1, 'some'), (3, 2, 'few'), (4, 4, 'itself');
INSERT INTO history.events (at, kind, body)
  SELECT timestamptz '2025-12-20' + n * interval '1 hour', 'kind ' || n % 5, jsonb_build_object('n', n, 'text', repeat(md5(n::text), n % 20))
  FROM generate_series(1, 1500 * :scale) n;
DELETE FROM shop.orders WHERE id % 501 = 500 AND NOT EXISTS (SELECT FROM shop.order_lines WHERE order_id = id);
