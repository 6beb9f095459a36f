CREATE TABLE `meshstore_changes` (
	`seq` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`table_name` text NOT NULL,
	`key` text,
	`operation` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `meshstore_consumers` (
	`name` text PRIMARY KEY NOT NULL,
	`position` text NOT NULL,
	`kept_until` real NOT NULL
);
--> statement-breakpoint
CREATE TRIGGER nodes_log_insert AFTER INSERT ON nodes
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', NEW.node_id, 'insert');
END;
--> statement-breakpoint
CREATE TRIGGER nodes_log_update AFTER UPDATE ON nodes
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) SELECT 'nodes', OLD.node_id, 'delete' WHERE OLD.node_id IS NOT NEW.node_id;
	INSERT INTO meshstore_changes (table_name, key, operation)
		VALUES ('nodes', NEW.node_id, CASE WHEN OLD.node_id IS NOT NEW.node_id THEN 'insert' ELSE 'update' END);
END;
--> statement-breakpoint
CREATE TRIGGER nodes_log_delete AFTER DELETE ON nodes
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', OLD.node_id, 'delete');
END;
--> statement-breakpoint
CREATE TRIGGER policies_log_insert AFTER INSERT ON policies
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', NEW.policy_id, 'insert');
END;
--> statement-breakpoint
CREATE TRIGGER policies_log_update AFTER UPDATE ON policies
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) SELECT 'policies', OLD.policy_id, 'delete' WHERE OLD.policy_id IS NOT NEW.policy_id;
	INSERT INTO meshstore_changes (table_name, key, operation)
		VALUES ('policies', NEW.policy_id, CASE WHEN OLD.policy_id IS NOT NEW.policy_id THEN 'insert' ELSE 'update' END);
END;
--> statement-breakpoint
CREATE TRIGGER policies_log_delete AFTER DELETE ON policies
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', OLD.policy_id, 'delete');
END;
--> statement-breakpoint
CREATE TRIGGER path_cache_log_insert AFTER INSERT ON path_cache
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', NEW.cache_key, 'insert');
END;
--> statement-breakpoint
CREATE TRIGGER path_cache_log_update AFTER UPDATE ON path_cache
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) SELECT 'path_cache', OLD.cache_key, 'delete' WHERE OLD.cache_key IS NOT NEW.cache_key;
	INSERT INTO meshstore_changes (table_name, key, operation)
		VALUES ('path_cache', NEW.cache_key, CASE WHEN OLD.cache_key IS NOT NEW.cache_key THEN 'insert' ELSE 'update' END);
END;
--> statement-breakpoint
CREATE TRIGGER path_cache_log_delete AFTER DELETE ON path_cache
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', OLD.cache_key, 'delete');
END;
--> statement-breakpoint
-- One of a node that is swept from the beginning invalidates nothing: see nodes_mark_replace.
CREATE TRIGGER path_cache_marks_log AFTER INSERT ON path_cache_marks
WHEN (NEW.swept = 0 OR NEW.through IS NULL) AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache',
		json_object('source', NEW.source, 'destination', NEW.destination, 'through', NEW.through), 'invalidate');
END;
--> statement-breakpoint
-- Whoever stops reading must not let the log grow without bound. A gap in the numbers tells them.
CREATE TRIGGER meshstore_changes_bound AFTER INSERT ON meshstore_changes
BEGIN
	DELETE FROM meshstore_changes WHERE seq <= NEW.seq - 1000000;
END;
