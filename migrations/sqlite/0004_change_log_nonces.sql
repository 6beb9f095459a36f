-- The log begins anew: positions of before have no nonce. Its readers get CHANGES_MISSED.
DELETE FROM meshstore_state WHERE name = 'change_log';
--> statement-breakpoint
DELETE FROM meshstore_consumers;
--> statement-breakpoint
-- Not renamed: triggers of other tables name it, and would have to be dropped first.
DROP TABLE `meshstore_changes`;
--> statement-breakpoint
CREATE TABLE `meshstore_changes` (
	`seq` integer PRIMARY KEY NOT NULL,
	`table_name` text NOT NULL,
	`key` text,
	`operation` text NOT NULL,
	`nonce` integer DEFAULT (random() & 9007199254740991) NOT NULL
);
--> statement-breakpoint
-- A subscriber that stops reading must not let the log grow without bound. A gap in the numbers tells it. The log keeps the change of
-- a position and a million after it, and up to 127 more: to look at each change costs a tenth of what the log does.
CREATE TRIGGER meshstore_changes_bound AFTER INSERT ON meshstore_changes
WHEN NEW.seq % 128 = 0
BEGIN
	DELETE FROM meshstore_changes WHERE seq < NEW.seq - 1000000;
END;
--> statement-breakpoint
ALTER TABLE `path_cache_marks` ADD `logged` integer DEFAULT false NOT NULL;
--> statement-breakpoint
DROP TRIGGER path_cache_marks_log;
--> statement-breakpoint
-- A mark of a node that is swept from the beginning invalidates nothing: see nodes_mark_replace. A topology change has one entry: its
-- mark is logged by the entry of the node.
CREATE TRIGGER path_cache_marks_log AFTER INSERT ON path_cache_marks
WHEN NEW.logged = 0 AND (NEW.swept = 0 OR NEW.through IS NULL) AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache',
		json_object('source', NEW.source, 'destination', NEW.destination, 'through', NEW.through), 'invalidate');
END;
--> statement-breakpoint
-- INSERT … SELECT into a table with a trigger makes a temporary table each time: half of what a small update costs.
DROP TRIGGER nodes_mark_update;
--> statement-breakpoint
DROP TRIGGER nodes_mark_delete;
--> statement-breakpoint
DROP TRIGGER nodes_log_update;
--> statement-breakpoint
DROP TRIGGER nodes_log_delete;
--> statement-breakpoint
DROP TRIGGER policies_log_update;
--> statement-breakpoint
DROP TRIGGER path_cache_log_update;
--> statement-breakpoint
CREATE TRIGGER nodes_mark_update AFTER UPDATE OF node_id, interfaces, protocols, started ON nodes
WHEN (OLD.node_id IS NOT NEW.node_id OR OLD.interfaces IS NOT NEW.interfaces OR OLD.protocols IS NOT NEW.protocols OR OLD.started IS NOT NEW.started)
	AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at, logged) VALUES (OLD.node_id, CAST(strftime('%s', 'now') AS REAL), OLD.node_id IS NEW.node_id);
END;
--> statement-breakpoint
CREATE TRIGGER nodes_mark_rename AFTER UPDATE OF node_id ON nodes
WHEN OLD.node_id IS NOT NEW.node_id AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at) VALUES (NEW.node_id, CAST(strftime('%s', 'now') AS REAL));
END;
--> statement-breakpoint
CREATE TRIGGER nodes_mark_delete AFTER DELETE ON nodes
WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at, logged) VALUES (OLD.node_id, CAST(strftime('%s', 'now') AS REAL), 1);
END;
--> statement-breakpoint
CREATE TRIGGER nodes_log_update AFTER UPDATE ON nodes
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log') AND OLD.node_id IS NEW.node_id
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', NEW.node_id,
		CASE WHEN (OLD.interfaces IS NOT NEW.interfaces OR OLD.protocols IS NOT NEW.protocols OR OLD.started IS NOT NEW.started)
		AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN 'update+' ELSE 'update' END);
END;
--> statement-breakpoint
CREATE TRIGGER nodes_log_rename AFTER UPDATE OF node_id ON nodes
WHEN OLD.node_id IS NOT NEW.node_id AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', OLD.node_id, 'delete');
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', NEW.node_id, 'insert');
END;
--> statement-breakpoint
CREATE TRIGGER nodes_log_delete AFTER DELETE ON nodes
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', OLD.node_id,
		CASE WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN 'delete+' ELSE 'delete' END);
END;
--> statement-breakpoint
CREATE TRIGGER policies_log_update AFTER UPDATE ON policies
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log') AND OLD.policy_id IS NEW.policy_id
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', NEW.policy_id, 'update');
END;
--> statement-breakpoint
CREATE TRIGGER policies_log_rename AFTER UPDATE OF policy_id ON policies
WHEN OLD.policy_id IS NOT NEW.policy_id AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', OLD.policy_id, 'delete');
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', NEW.policy_id, 'insert');
END;
--> statement-breakpoint
CREATE TRIGGER path_cache_log_update AFTER UPDATE ON path_cache
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log') AND OLD.cache_key IS NEW.cache_key
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', NEW.cache_key, 'update');
END;
--> statement-breakpoint
CREATE TRIGGER path_cache_log_rename AFTER UPDATE OF cache_key ON path_cache
WHEN OLD.cache_key IS NOT NEW.cache_key AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', OLD.cache_key, 'delete');
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', NEW.cache_key, 'insert');
END;
--> statement-breakpoint
CREATE TABLE `meshstore_outcomes` (
	`token` text PRIMARY KEY NOT NULL,
	`state` text NOT NULL,
	`written_at` real DEFAULT (unixepoch()) NOT NULL
);
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('migration:1795882624000', '0004_change_log_nonces', 0);
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:0004_change_log_nonces', 'Older code deletes changes that positions in the log name.', 0);
