-- The protocol of "Logical backups with pg_dump and pg_restore" in TimescaleDB's manual: its catalog takes no rows but
-- between timescaledb_pre_restore() and timescaledb_post_restore(), which set timescaledb.restoring for the database.
CREATE SCHEMA _timescaledb_catalog;
CREATE TABLE _timescaledb_catalog.hypertable (id int PRIMARY KEY, table_name name NOT NULL);
SELECT pg_extension_config_dump('_timescaledb_catalog.hypertable', '');

CREATE FUNCTION _timescaledb_catalog.demand_restoring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('timescaledb.restoring', true) IS DISTINCT FROM 'on' THEN
    RAISE EXCEPTION 'rows of the catalog outside a restore';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER demand_restoring BEFORE INSERT ON _timescaledb_catalog.hypertable
  FOR EACH ROW EXECUTE FUNCTION _timescaledb_catalog.demand_restoring();

CREATE FUNCTION @extschema@.timescaledb_pre_restore() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($set$ALTER DATABASE %I SET timescaledb.restoring = 'on'$set$, current_database());
  SET SESSION timescaledb.restoring = 'on';
  RETURN true;
END $$;

CREATE FUNCTION @extschema@.timescaledb_post_restore() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER DATABASE %I RESET timescaledb.restoring', current_database());
  RESET timescaledb.restoring;
  RETURN true;
END $$;
