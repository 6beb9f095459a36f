CREATE TABLE "meshstore_changes" (
	"seq" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "meshstore_changes_seq_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"table_name" text NOT NULL,
	"key" text COLLATE "C",
	"operation" text NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "meshstore_consumers" (
	"name" text COLLATE "C" PRIMARY KEY NOT NULL,
	"position" text NOT NULL,
	"kept_until" double precision NOT NULL
);
--> statement-breakpoint
CREATE INDEX "idx_changes_transaction" ON "meshstore_changes" USING btree ("transaction");
--> statement-breakpoint
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
