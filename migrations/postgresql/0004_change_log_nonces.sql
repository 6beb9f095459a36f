-- All entries of before get the moment of the migration: for a default that each row computes, the table would be written anew,
-- and the service would stand still.
ALTER TABLE "meshstore_changes" ADD COLUMN "nonce" bigint DEFAULT (extract(epoch FROM now()) * 1000000)::bigint NOT NULL;
--> statement-breakpoint
ALTER TABLE "meshstore_changes" ALTER COLUMN "nonce" SET DEFAULT floor(random() * 9007199254740992);
--> statement-breakpoint
CREATE TABLE "meshstore_outcomes" (
	"token" text COLLATE "C" PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"written_at" double precision DEFAULT extract(epoch FROM now()) NOT NULL
);
--> statement-breakpoint
-- A topology change has one entry: its mark is logged by the entry of the node.
ALTER TABLE "path_cache_marks" ADD COLUMN "logged" boolean DEFAULT false NOT NULL;
--> statement-breakpoint
-- By statement, so that a thousand rows cost one call.
DROP TRIGGER IF EXISTS nodes_mark_update ON nodes;
--> statement-breakpoint
DROP TRIGGER IF EXISTS nodes_mark_delete ON nodes;
--> statement-breakpoint
DROP TRIGGER IF EXISTS nodes_mark_truncate ON nodes;
--> statement-breakpoint
DROP TRIGGER IF EXISTS policies_mark_insert ON policies;
--> statement-breakpoint
DROP TRIGGER IF EXISTS policies_mark_update ON policies;
--> statement-breakpoint
DROP TRIGGER IF EXISTS policies_mark_delete ON policies;
--> statement-breakpoint
DROP TRIGGER IF EXISTS policies_mark_truncate ON policies;
--> statement-breakpoint
DROP TRIGGER IF EXISTS path_cache_marks_log ON path_cache_marks;
--> statement-breakpoint
DROP FUNCTION IF EXISTS meshstore_mark_node(), meshstore_mark_all(), meshstore_log_mark();
--> statement-breakpoint
DO $do$
BEGIN
	EXECUTE format($create$
		CREATE OR REPLACE FUNCTION %1$I.meshstore_log_nodes() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN
			IF NOT EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'change_log') THEN
				RETURN NULL;
			END IF;
			IF TG_OP = 'INSERT' THEN
				INSERT INTO %1$I.meshstore_changes (table_name, key, operation)
					SELECT 'nodes', node_id, 'insert' FROM written ORDER BY 2;
			ELSIF TG_OP = 'UPDATE' THEN
				INSERT INTO %1$I.meshstore_changes (table_name, key, operation)
					SELECT 'nodes', coalesce(w.node_id, r.node_id), CASE
						WHEN w.node_id IS NULL THEN 'delete' WHEN r.node_id IS NULL THEN 'insert' ELSE 'update' END
						|| CASE WHEN (r.node_id, r.interfaces, r.protocols, r.started) IS DISTINCT FROM (w.node_id, w.interfaces, w.protocols, w.started) AND NOT EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN '+' ELSE '' END
					FROM replaced AS r FULL JOIN written AS w ON w.node_id = r.node_id
					ORDER BY w.node_id IS NOT NULL, 2;
			ELSIF TG_OP = 'DELETE' THEN
				INSERT INTO %1$I.meshstore_changes (table_name, key, operation)
					SELECT 'nodes', node_id, 'delete'
						|| CASE WHEN NOT EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN '+' ELSE '' END FROM replaced ORDER BY 2;
			ELSE
				INSERT INTO %1$I.meshstore_changes (table_name, operation) VALUES ('nodes', 'truncate');
			END IF;
			RETURN NULL;
		END
		$body$
	$create$, current_schema());
	EXECUTE format($create$
		CREATE FUNCTION %1$I.meshstore_mark_nodes() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN
			IF EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN
				RETURN NULL;
			END IF;
			IF TG_OP = 'UPDATE' THEN
				INSERT INTO %1$I.path_cache_marks (through, marked_at, logged)
					SELECT coalesce(w.node_id, r.node_id), extract(epoch FROM clock_timestamp()), true
					FROM replaced AS r FULL JOIN written AS w ON w.node_id = r.node_id
					WHERE (r.node_id, r.interfaces, r.protocols, r.started) IS DISTINCT FROM (w.node_id, w.interfaces, w.protocols, w.started)
					ORDER BY 1;
			ELSIF TG_OP = 'DELETE' THEN
				INSERT INTO %1$I.path_cache_marks (through, marked_at, logged)
					SELECT node_id, extract(epoch FROM clock_timestamp()), true
					FROM replaced
					ORDER BY 1;
			ELSE
				INSERT INTO %1$I.path_cache_marks (marked_at) VALUES (extract(epoch FROM clock_timestamp()));
			END IF;
			RETURN NULL;
		END
		$body$
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER nodes_mark_update AFTER UPDATE ON %1$I.nodes
		 REFERENCING OLD TABLE AS replaced NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_nodes()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER nodes_mark_delete AFTER DELETE ON %1$I.nodes
		 REFERENCING OLD TABLE AS replaced FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_nodes()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER nodes_mark_truncate AFTER TRUNCATE ON %1$I.nodes
		 FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_nodes()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE FUNCTION %1$I.meshstore_mark_policies() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN
			IF EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN
				RETURN NULL;
			END IF;
			IF TG_OP = 'INSERT' THEN
				INSERT INTO %1$I.path_cache_marks (marked_at)
					SELECT extract(epoch FROM clock_timestamp()) WHERE EXISTS (SELECT 1 FROM written);
			ELSIF TG_OP = 'UPDATE' THEN
				INSERT INTO %1$I.path_cache_marks (marked_at)
					SELECT extract(epoch FROM clock_timestamp()) WHERE EXISTS (SELECT 1 FROM replaced AS r FULL JOIN written AS w ON w.policy_id = r.policy_id
					WHERE (r.policy_id, r.yaml_content) IS DISTINCT FROM (w.policy_id, w.yaml_content));
			ELSIF TG_OP = 'DELETE' THEN
				INSERT INTO %1$I.path_cache_marks (marked_at)
					SELECT extract(epoch FROM clock_timestamp()) WHERE EXISTS (SELECT 1 FROM replaced);
			ELSE
				INSERT INTO %1$I.path_cache_marks (marked_at) VALUES (extract(epoch FROM clock_timestamp()));
			END IF;
			RETURN NULL;
		END
		$body$
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER policies_mark_insert AFTER INSERT ON %1$I.policies
		 REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_policies()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER policies_mark_update AFTER UPDATE ON %1$I.policies
		 REFERENCING OLD TABLE AS replaced NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_policies()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER policies_mark_delete AFTER DELETE ON %1$I.policies
		 REFERENCING OLD TABLE AS replaced FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_policies()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER policies_mark_truncate AFTER TRUNCATE ON %1$I.policies
		 FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_policies()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE FUNCTION %1$I.meshstore_log_marks() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN
			IF EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'change_log') THEN
				INSERT INTO %1$I.meshstore_changes (table_name, key, operation)
					SELECT 'path_cache', json_build_object('source', source, 'destination', destination, 'through', through), 'invalidate'
					FROM written WHERE NOT logged ORDER BY id;
			END IF;
			RETURN NULL;
		END
		$body$
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER path_cache_marks_log AFTER INSERT ON %1$I.path_cache_marks
		REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_log_marks()
	$create$, current_schema());
END
$do$;
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('migration:1795882624000', '0004_change_log_nonces', 0);
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:0004_change_log_nonces', 'Older code deletes changes that positions in the log name.', 0);
