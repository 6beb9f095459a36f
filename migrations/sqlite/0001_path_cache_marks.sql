CREATE TABLE `path_cache_marks` (
	`id` integer PRIMARY KEY NOT NULL,
	`source` text,
	`destination` text,
	`through` text,
	`marked_at` real NOT NULL,
	`swept` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE INDEX `idx_marks_unswept` ON `path_cache_marks` (`id`) WHERE swept = 0;--> statement-breakpoint
CREATE TABLE `path_cache_stamps` (
	`cache_key` text PRIMARY KEY NOT NULL,
	`mark` integer NOT NULL
);
--> statement-breakpoint
CREATE TRIGGER path_cache_stamp_insert AFTER INSERT ON path_cache
WHEN EXISTS (SELECT 1 FROM path_cache_marks WHERE swept = 0)
BEGIN
	DELETE FROM path_cache_stamps WHERE cache_key = NEW.cache_key;
	INSERT INTO path_cache_stamps (cache_key, mark) VALUES (NEW.cache_key, (SELECT max(id) FROM path_cache_marks));
END;
--> statement-breakpoint
CREATE TRIGGER path_cache_stamp_update AFTER UPDATE ON path_cache
WHEN EXISTS (SELECT 1 FROM path_cache_marks WHERE swept = 0)
BEGIN
	DELETE FROM path_cache_stamps WHERE cache_key = NEW.cache_key;
	INSERT INTO path_cache_stamps (cache_key, mark) VALUES (NEW.cache_key, (SELECT max(id) FROM path_cache_marks));
END;
--> statement-breakpoint
CREATE TRIGGER nodes_mark_update AFTER UPDATE OF node_id, interfaces, protocols, started ON nodes
WHEN (OLD.node_id IS NOT NEW.node_id OR OLD.interfaces IS NOT NEW.interfaces OR OLD.protocols IS NOT NEW.protocols OR OLD.started IS NOT NEW.started)
	AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at)
		SELECT OLD.node_id, CAST(strftime('%s', 'now') AS REAL) UNION SELECT NEW.node_id, CAST(strftime('%s', 'now') AS REAL);
END;
--> statement-breakpoint
CREATE TRIGGER nodes_mark_delete AFTER DELETE ON nodes
WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at) VALUES (OLD.node_id, CAST(strftime('%s', 'now') AS REAL));
END;
--> statement-breakpoint
-- INSERT OR REPLACE, as Python's programs write it, deletes the row of before without saying so. Whether a row that is there
-- was replaced, or updated by an upsert, is known afterwards alone: until then the mark invalidates nothing that is stored.
CREATE TRIGGER nodes_mark_replace BEFORE INSERT ON nodes
WHEN EXISTS (SELECT 1 FROM nodes WHERE node_id = NEW.node_id
	AND (interfaces IS NOT NEW.interfaces OR protocols IS NOT NEW.protocols OR started IS NOT NEW.started))
	AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at, swept) VALUES (NEW.node_id, CAST(strftime('%s', 'now') AS REAL), 1);
END;
--> statement-breakpoint
CREATE TRIGGER nodes_mark_insert AFTER INSERT ON nodes
WHEN EXISTS (SELECT 1 FROM path_cache_marks
	WHERE id = (SELECT max(id) FROM path_cache_marks) AND through = NEW.node_id AND swept = 1)
BEGIN
	INSERT INTO path_cache_marks (through, marked_at) VALUES (NEW.node_id, CAST(strftime('%s', 'now') AS REAL));
END;
--> statement-breakpoint
CREATE TRIGGER policies_mark_insert AFTER INSERT ON policies
WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (marked_at) VALUES (CAST(strftime('%s', 'now') AS REAL));
END;
--> statement-breakpoint
CREATE TRIGGER policies_mark_update AFTER UPDATE OF policy_id, yaml_content ON policies
WHEN (OLD.policy_id IS NOT NEW.policy_id OR OLD.yaml_content IS NOT NEW.yaml_content)
	AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (marked_at) VALUES (CAST(strftime('%s', 'now') AS REAL));
END;
--> statement-breakpoint
CREATE TRIGGER policies_mark_delete AFTER DELETE ON policies
WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (marked_at) VALUES (CAST(strftime('%s', 'now') AS REAL));
END;
