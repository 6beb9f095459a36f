CREATE TABLE "meshstore_changes" (
	"seq" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "meshstore_changes_seq_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"table_name" text NOT NULL,
	"key" text COLLATE "C",
	"operation" text NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"nonce" bigint DEFAULT floor(random() * 9007199254740992) NOT NULL
);

CREATE TABLE "meshstore_consumers" (
	"name" text COLLATE "C" PRIMARY KEY NOT NULL,
	"position" text NOT NULL,
	"kept_until" double precision NOT NULL
);

CREATE TABLE "path_cache_marks" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "path_cache_marks_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"source" text COLLATE "C",
	"destination" text COLLATE "C",
	"through" text COLLATE "C",
	"marked_at" double precision NOT NULL,
	"swept" boolean DEFAULT false NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"logged" boolean DEFAULT false NOT NULL
);

CREATE TABLE "nodes" (
	"node_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"interfaces" jsonb NOT NULL,
	"protocols" jsonb NOT NULL,
	"started" boolean DEFAULT false NOT NULL,
	"routes_discovered" integer DEFAULT 0 NOT NULL,
	"created_at" double precision NOT NULL,
	"updated_at" double precision NOT NULL,
	CONSTRAINT "nodes_interfaces_json" CHECK (jsonb_typeof("nodes"."interfaces") = 'array' AND NOT jsonb_path_exists("nodes"."interfaces", '$[*] ? (@.type() != "string")')),
	CONSTRAINT "nodes_protocols_json" CHECK (jsonb_typeof("nodes"."protocols") = 'array' AND NOT jsonb_path_exists("nodes"."protocols", '$[*] ? (@.type() != "string")')),
	CONSTRAINT "nodes_created_time" CHECK ("nodes"."created_at" BETWEEN -253402300799 AND 253402300799),
	CONSTRAINT "nodes_updated_time" CHECK ("nodes"."updated_at" BETWEEN -253402300799 AND 253402300799)
);

CREATE TABLE "meshstore_outcomes" (
	"token" text COLLATE "C" PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"written_at" double precision DEFAULT extract(epoch FROM now()) NOT NULL
);

CREATE TABLE "path_cache" (
	"cache_key" text COLLATE "C" PRIMARY KEY NOT NULL,
	"source" text COLLATE "C" NOT NULL,
	"destination" text COLLATE "C" NOT NULL,
	"k" integer NOT NULL,
	"bundle_json" text NOT NULL,
	"created_at" double precision NOT NULL,
	"expires_at" double precision NOT NULL,
	CONSTRAINT "path_cache_k" CHECK ("path_cache"."k" >= 1),
	CONSTRAINT "path_cache_created_time" CHECK ("path_cache"."created_at" BETWEEN -253402300799 AND 253402300799),
	CONSTRAINT "path_cache_expires_time" CHECK ("path_cache"."expires_at" BETWEEN -253402300799 AND 253402300799)
);

CREATE TABLE "policies" (
	"policy_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"yaml_content" text NOT NULL,
	"rules_count" integer NOT NULL,
	"created_at" double precision NOT NULL,
	"updated_at" double precision NOT NULL,
	CONSTRAINT "policies_created_time" CHECK ("policies"."created_at" BETWEEN -253402300799 AND 253402300799),
	CONSTRAINT "policies_updated_time" CHECK ("policies"."updated_at" BETWEEN -253402300799 AND 253402300799)
);

CREATE TABLE "path_cache_stamps" (
	"cache_key" text COLLATE "C" PRIMARY KEY NOT NULL,
	"mark" bigint NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"snapshot" "pg_snapshot" DEFAULT pg_current_snapshot() NOT NULL
);

CREATE TABLE "meshstore_state" (
	"name" text COLLATE "C" PRIMARY KEY NOT NULL,
	"value" text NOT NULL,
	"updated_at" double precision NOT NULL
);

CREATE INDEX "idx_changes_transaction" ON "meshstore_changes" USING btree ("transaction");
CREATE INDEX "idx_marks_unswept" ON "path_cache_marks" USING btree ("id") WHERE NOT swept;
CREATE INDEX "idx_marks_transaction" ON "path_cache_marks" USING btree ("transaction");
CREATE INDEX "idx_nodes_started" ON "nodes" USING btree ("started","node_id");
CREATE INDEX "idx_nodes_updated" ON "nodes" USING btree ("updated_at","node_id");
CREATE INDEX "idx_cache_expires" ON "path_cache" USING btree ("expires_at");
CREATE INDEX "idx_cache_source_dest" ON "path_cache" USING btree ("source","destination");
CREATE INDEX "idx_policies_updated" ON "policies" USING btree ("updated_at","policy_id");

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
-- Each write is noted in its own transaction while somebody has asked for it; by statement, so that a thousand rows cost one
-- call. The functions name their schema: who writes may have another one in its search path.
DO $do$
DECLARE
	tables CONSTANT text[] := ARRAY['nodes', 'policies', 'path_cache'];
	keys CONSTANT text[] := ARRAY['node_id', 'policy_id', 'cache_key'];
BEGIN
	FOR i IN 1..3 LOOP
		EXECUTE format($create$
			CREATE FUNCTION %1$I.%4$I() RETURNS trigger LANGUAGE plpgsql AS $body$
			BEGIN
				IF NOT EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'change_log') THEN
					RETURN NULL;
				END IF;
				IF TG_OP = 'INSERT' THEN
					INSERT INTO %1$I.meshstore_changes (table_name, key, operation)
						SELECT %2$L, %3$I, 'insert' FROM written ORDER BY 2;
				ELSIF TG_OP = 'UPDATE' THEN
					INSERT INTO %1$I.meshstore_changes (table_name, key, operation)
						SELECT %2$L, coalesce(w.%3$I, r.%3$I), CASE
							WHEN w.%3$I IS NULL THEN 'delete' WHEN r.%3$I IS NULL THEN 'insert' ELSE 'update' END
						FROM replaced AS r FULL JOIN written AS w ON w.%3$I = r.%3$I
						ORDER BY w.%3$I IS NOT NULL, 2;
				ELSIF TG_OP = 'DELETE' THEN
					INSERT INTO %1$I.meshstore_changes (table_name, key, operation)
						SELECT %2$L, %3$I, 'delete' FROM replaced ORDER BY 2;
				ELSE
					INSERT INTO %1$I.meshstore_changes (table_name, operation) VALUES (%2$L, 'truncate');
				END IF;
				RETURN NULL;
			END
			$body$
		$create$, current_schema(), tables[i], keys[i], 'meshstore_log_' || tables[i]);
		EXECUTE format($create$
			CREATE TRIGGER %2$I AFTER INSERT ON %1$I.%3$I
			REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %1$I.%4$I()
		$create$, current_schema(), tables[i] || '_log_insert', tables[i], 'meshstore_log_' || tables[i]);
		EXECUTE format($create$
			CREATE TRIGGER %2$I AFTER UPDATE ON %1$I.%3$I
			REFERENCING OLD TABLE AS replaced NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION %1$I.%4$I()
		$create$, current_schema(), tables[i] || '_log_update', tables[i], 'meshstore_log_' || tables[i]);
		EXECUTE format($create$
			CREATE TRIGGER %2$I AFTER DELETE ON %1$I.%3$I
			REFERENCING OLD TABLE AS replaced FOR EACH STATEMENT EXECUTE FUNCTION %1$I.%4$I()
		$create$, current_schema(), tables[i] || '_log_delete', tables[i], 'meshstore_log_' || tables[i]);
		EXECUTE format($create$
			CREATE TRIGGER %2$I AFTER TRUNCATE ON %1$I.%3$I
			FOR EACH STATEMENT EXECUTE FUNCTION %1$I.%4$I()
		$create$, current_schema(), tables[i] || '_log_truncate', tables[i], 'meshstore_log_' || tables[i]);
	END LOOP;
	EXECUTE format($create$
		CREATE FUNCTION %1$I.meshstore_log_mark() RETURNS trigger LANGUAGE plpgsql AS $body$
		BEGIN
			IF EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'change_log') THEN
				INSERT INTO %1$I.meshstore_changes (table_name, key, operation) VALUES ('path_cache',
					json_build_object('source', NEW.source, 'destination', NEW.destination, 'through', NEW.through), 'invalidate');
			END IF;
			RETURN NULL;
		END
		$body$
	$create$, current_schema());
	EXECUTE format($create$
		CREATE TRIGGER path_cache_marks_log AFTER INSERT ON %1$I.path_cache_marks
		FOR EACH ROW EXECUTE FUNCTION %1$I.meshstore_log_mark()
	$create$, current_schema());
END
$do$;
-- By statement, so that a thousand rows cost one call.
DROP TRIGGER IF EXISTS nodes_mark_update ON nodes;
DROP TRIGGER IF EXISTS nodes_mark_delete ON nodes;
DROP TRIGGER IF EXISTS nodes_mark_truncate ON nodes;
DROP TRIGGER IF EXISTS policies_mark_insert ON policies;
DROP TRIGGER IF EXISTS policies_mark_update ON policies;
DROP TRIGGER IF EXISTS policies_mark_delete ON policies;
DROP TRIGGER IF EXISTS policies_mark_truncate ON policies;
DROP TRIGGER IF EXISTS path_cache_marks_log ON path_cache_marks;
DROP FUNCTION IF EXISTS meshstore_mark_node(), meshstore_mark_all(), meshstore_log_mark();
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
