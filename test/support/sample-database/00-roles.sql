-- Roles live outside of databases: they must exist before a dump of this database can be restored with its owners.
DO $roles$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['sample_owner', 'sample_reader', 'Sample "Writer"'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    END IF;
  END LOOP;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- another session makes them at this very moment
END
$roles$;
