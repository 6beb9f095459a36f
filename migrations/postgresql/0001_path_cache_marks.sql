CREATE TABLE "path_cache_marks" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "path_cache_marks_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"source" text COLLATE "C",
	"destination" text COLLATE "C",
	"through" text COLLATE "C",
	"marked_at" double precision NOT NULL,
	"swept" boolean DEFAULT false NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "path_cache_stamps" (
	"cache_key" text COLLATE "C" PRIMARY KEY NOT NULL,
	"mark" bigint NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"snapshot" "pg_snapshot" DEFAULT pg_current_snapshot() NOT NULL
);
--> statement-breakpoint
CREATE INDEX "idx_marks_unswept" ON "path_cache_marks" USING btree ("id") WHERE NOT swept;--> statement-breakpoint
CREATE INDEX "idx_marks_transaction" ON "path_cache_marks" USING btree ("transaction");
--> statement-breakpoint
-- The functions name their schema: who writes may have another one in its search path.
DO $do$
BEGIN
	EXECUTE format($create$
		CREATE FUNCTION %1$I.meshstore_stamp_paths() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN
			IF EXISTS (SELECT 1 FROM %1$I.path_cache_marks WHERE NOT swept) THEN
				INSERT INTO %1$I.path_cache_stamps (cache_key, mark)
					SELECT cache_key, (
						SELECT coalesce(max(id), 0) FROM %1$I.path_cache_marks WHERE transaction = pg_current_xact_id()
					)
					FROM written ORDER BY cache_key
				ON CONFLICT (cache_key) DO UPDATE
					SET mark = excluded.mark, transaction = excluded.transaction, snapshot = excluded.snapshot;
			END IF;
			RETURN NULL;
		END
		$body$
	$create$, current_schema());
	EXECUTE format($create$
		CREATE FUNCTION %1$I.meshstore_mark_node() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN
			IF NOT EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN
				INSERT INTO %1$I.path_cache_marks (through, marked_at) VALUES (OLD.node_id, extract(epoch FROM clock_timestamp()));
				IF TG_OP = 'UPDATE' AND NEW.node_id <> OLD.node_id THEN
					INSERT INTO %1$I.path_cache_marks (through, marked_at) VALUES (NEW.node_id, extract(epoch FROM clock_timestamp()));
				END IF;
			END IF;
			RETURN NULL;
		END
		$body$
	$create$, current_schema());
	EXECUTE format($create$
		CREATE FUNCTION %1$I.meshstore_mark_all() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN
			IF NOT EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN
				INSERT INTO %1$I.path_cache_marks (marked_at) VALUES (extract(epoch FROM clock_timestamp()));
			END IF;
			RETURN NULL;
		END
		$body$
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER path_cache_stamp_insert AFTER INSERT ON %1$I.path_cache
		REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_stamp_paths()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER path_cache_stamp_update AFTER UPDATE ON %1$I.path_cache
		REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_stamp_paths()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER nodes_mark_update AFTER UPDATE OF node_id, interfaces, protocols, started ON %1$I.nodes
		FOR EACH ROW WHEN (OLD.node_id IS DISTINCT FROM NEW.node_id OR OLD.interfaces IS DISTINCT FROM NEW.interfaces OR OLD.protocols IS DISTINCT FROM NEW.protocols OR OLD.started IS DISTINCT FROM NEW.started)
		EXECUTE FUNCTION %1$I.meshstore_mark_node()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER nodes_mark_delete AFTER DELETE ON %1$I.nodes
		FOR EACH ROW EXECUTE FUNCTION %1$I.meshstore_mark_node()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER policies_mark_insert AFTER INSERT ON %1$I.policies
		FOR EACH ROW EXECUTE FUNCTION %1$I.meshstore_mark_all()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER policies_mark_update AFTER UPDATE OF policy_id, yaml_content ON %1$I.policies
		FOR EACH ROW WHEN (OLD.policy_id IS DISTINCT FROM NEW.policy_id OR OLD.yaml_content IS DISTINCT FROM NEW.yaml_content)
		EXECUTE FUNCTION %1$I.meshstore_mark_all()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER policies_mark_delete AFTER DELETE ON %1$I.policies
		FOR EACH ROW EXECUTE FUNCTION %1$I.meshstore_mark_all()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER nodes_mark_truncate AFTER TRUNCATE ON %1$I.nodes
		FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_all()
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER policies_mark_truncate AFTER TRUNCATE ON %1$I.policies
		FOR EACH STATEMENT EXECUTE FUNCTION %1$I.meshstore_mark_all()
	$create$, current_schema());
END
$do$;
