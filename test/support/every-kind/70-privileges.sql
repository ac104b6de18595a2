-- Privileges that were handed on by others than the owner, default privileges of every sort, policies for every command.
SET SESSION AUTHORIZATION "Sample ""Writer"""; GRANT CREATE ON SCHEMA kinds TO sample_owner WITH GRANT OPTION; SET SESSION AUTHORIZATION sample_owner; GRANT CREATE ON SCHEMA kinds TO sample_reader; RESET SESSION AUTHORIZATION;
GRANT ALL ON kinds.parents TO sample_owner WITH GRANT OPTION; SET SESSION AUTHORIZATION sample_owner; GRANT SELECT, UPDATE (b), INSERT (a, c) ON kinds.parents TO sample_reader; GRANT REFERENCES ON kinds.parents TO PUBLIC; RESET SESSION AUTHORIZATION;
REVOKE ALL ON kinds.detached FROM CURRENT_USER, PUBLIC; REVOKE ALL ON FUNCTION kinds.same_name(int), kinds.same_name() FROM PUBLIC, CURRENT_USER; GRANT EXECUTE ON FUNCTION kinds.same_name(text) TO sample_reader; REVOKE EXECUTE ON PROCEDURE kinds."a procedure"() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kinds.moving(int) TO sample_reader; REVOKE USAGE ON TYPE kinds.cents FROM PUBLIC, CURRENT_USER; GRANT USAGE ON TYPE kinds.row_type TO sample_reader;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_reset() TO sample_reader; REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC; GRANT SELECT ON pg_catalog.pg_statistic TO sample_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE "Sample ""Writer""" GRANT SELECT, INSERT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "Sample ""Writer""" REVOKE USAGE ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "Sample ""Writer""" GRANT CREATE, USAGE ON SCHEMAS TO sample_reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE "Sample ""Writer""" REVOKE ALL ON SEQUENCES FROM "Sample ""Writer""";
ALTER DEFAULT PRIVILEGES FOR ROLE sample_owner IN SCHEMA kinds GRANT EXECUTE ON ROUTINES TO sample_reader; ALTER DEFAULT PRIVILEGES IN SCHEMA kinds GRANT USAGE ON TYPES TO sample_reader WITH GRANT OPTION;

CREATE TABLE kinds.guarded (id int, owner name DEFAULT CURRENT_USER, part int) PARTITION BY LIST (part); CREATE TABLE kinds.guarded_1 PARTITION OF kinds.guarded FOR VALUES IN (1); CREATE TABLE kinds.guarded_rest PARTITION OF kinds.guarded DEFAULT;
INSERT INTO kinds.guarded VALUES (1, 'sample_reader', 1), (2, 'nobody', 2), (3, NULL, NULL);
ALTER TABLE kinds.guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE kinds.guarded_1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; ALTER TABLE kinds.guarded_rest FORCE ROW LEVEL SECURITY;
CREATE POLICY "Odd ""policy""" ON kinds.guarded FOR SELECT TO sample_reader, sample_owner, "Sample ""Writer""" USING (id IN (SELECT a FROM kinds.parents WHERE b <> E'\\'));
CREATE POLICY inserting ON kinds.guarded FOR INSERT WITH CHECK (owner = CURRENT_USER); CREATE POLICY updating ON kinds.guarded AS RESTRICTIVE FOR UPDATE TO CURRENT_USER USING (true) WITH CHECK (false); CREATE POLICY deleting ON kinds.guarded_1 FOR DELETE USING (kinds.same_name(id) = 1); CREATE POLICY no_condition ON kinds.guarded_rest;
