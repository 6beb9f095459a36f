CREATE TABLE `meshstore_changes` (
	`seq` integer PRIMARY KEY NOT NULL,
	`table_name` text NOT NULL,
	`key` text,
	`operation` text NOT NULL,
	`nonce` integer DEFAULT (random() & 9007199254740991) NOT NULL
);

CREATE TABLE `meshstore_consumers` (
	`name` text PRIMARY KEY NOT NULL,
	`position` text NOT NULL,
	`kept_until` real NOT NULL
);

CREATE TABLE `path_cache_marks` (
	`id` integer PRIMARY KEY NOT NULL,
	`source` text,
	`destination` text,
	`through` text,
	`marked_at` real NOT NULL,
	`swept` integer DEFAULT false NOT NULL,
	`logged` integer DEFAULT false NOT NULL
);

CREATE INDEX `idx_marks_unswept` ON `path_cache_marks` (`id`) WHERE swept = 0;
CREATE TABLE `nodes` (
	`node_id` text PRIMARY KEY NOT NULL,
	`interfaces` text NOT NULL,
	`protocols` text NOT NULL,
	`started` integer DEFAULT false NOT NULL,
	`routes_discovered` integer DEFAULT 0 NOT NULL,
	`created_at` real NOT NULL,
	`updated_at` real NOT NULL,
	CONSTRAINT "nodes_interfaces_json" CHECK(CASE WHEN json_valid("nodes"."interfaces") THEN json_type("nodes"."interfaces") = 'array' ELSE 0 END),
	CONSTRAINT "nodes_protocols_json" CHECK(CASE WHEN json_valid("nodes"."protocols") THEN json_type("nodes"."protocols") = 'array' ELSE 0 END),
	CONSTRAINT "nodes_started_flag" CHECK("nodes"."started" IN (0, 1)),
	CONSTRAINT "nodes_routes_integer" CHECK(typeof("nodes"."routes_discovered") = 'integer'),
	CONSTRAINT "nodes_created_time" CHECK(typeof("nodes"."created_at") = 'real' AND abs("nodes"."created_at") <= 253402300799),
	CONSTRAINT "nodes_updated_time" CHECK(typeof("nodes"."updated_at") = 'real' AND abs("nodes"."updated_at") <= 253402300799)
);

CREATE INDEX `idx_nodes_started` ON `nodes` (`started`,`node_id`);
CREATE INDEX `idx_nodes_updated` ON `nodes` (`updated_at`,`node_id`);
CREATE TABLE `meshstore_outcomes` (
	`token` text PRIMARY KEY NOT NULL,
	`state` text NOT NULL,
	`written_at` real DEFAULT (unixepoch()) NOT NULL
);

CREATE TABLE `path_cache` (
	`cache_key` text PRIMARY KEY NOT NULL,
	`source` text NOT NULL,
	`destination` text NOT NULL,
	`k` integer NOT NULL,
	`bundle_json` text NOT NULL,
	`created_at` real NOT NULL,
	`expires_at` real NOT NULL,
	CONSTRAINT "path_cache_k" CHECK(typeof("path_cache"."k") = 'integer' AND "path_cache"."k" >= 1),
	CONSTRAINT "path_cache_created_time" CHECK(typeof("path_cache"."created_at") = 'real' AND abs("path_cache"."created_at") <= 253402300799),
	CONSTRAINT "path_cache_expires_time" CHECK(typeof("path_cache"."expires_at") = 'real' AND abs("path_cache"."expires_at") <= 253402300799)
);

CREATE INDEX `idx_cache_expires` ON `path_cache` (`expires_at`);
CREATE INDEX `idx_cache_source_dest` ON `path_cache` (`source`,`destination`);
CREATE TABLE `policies` (
	`policy_id` text PRIMARY KEY NOT NULL,
	`yaml_content` text NOT NULL,
	`rules_count` integer NOT NULL,
	`created_at` real NOT NULL,
	`updated_at` real NOT NULL,
	CONSTRAINT "policies_rules_integer" CHECK(typeof("policies"."rules_count") = 'integer'),
	CONSTRAINT "policies_created_time" CHECK(typeof("policies"."created_at") = 'real' AND abs("policies"."created_at") <= 253402300799),
	CONSTRAINT "policies_updated_time" CHECK(typeof("policies"."updated_at") = 'real' AND abs("policies"."updated_at") <= 253402300799)
);

CREATE INDEX `idx_policies_updated` ON `policies` (`updated_at`,`policy_id`);
CREATE TABLE `path_cache_stamps` (
	`cache_key` text PRIMARY KEY NOT NULL,
	`mark` integer NOT NULL
);

CREATE TABLE `meshstore_state` (
	`name` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL,
	`updated_at` real NOT NULL
);

CREATE TRIGGER path_cache_stamp_insert AFTER INSERT ON path_cache
WHEN EXISTS (SELECT 1 FROM path_cache_marks WHERE swept = 0)
BEGIN
	DELETE FROM path_cache_stamps WHERE cache_key = NEW.cache_key;
	INSERT INTO path_cache_stamps (cache_key, mark) VALUES (NEW.cache_key, (SELECT max(id) FROM path_cache_marks));
END;
CREATE TRIGGER path_cache_stamp_update AFTER UPDATE ON path_cache
WHEN EXISTS (SELECT 1 FROM path_cache_marks WHERE swept = 0)
BEGIN
	DELETE FROM path_cache_stamps WHERE cache_key = NEW.cache_key;
	INSERT INTO path_cache_stamps (cache_key, mark) VALUES (NEW.cache_key, (SELECT max(id) FROM path_cache_marks));
END;
CREATE TRIGGER nodes_mark_replace BEFORE INSERT ON nodes
WHEN EXISTS (SELECT 1 FROM nodes WHERE node_id = NEW.node_id
	AND (interfaces IS NOT NEW.interfaces OR protocols IS NOT NEW.protocols OR started IS NOT NEW.started))
	AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at, swept) VALUES (NEW.node_id, CAST(strftime('%s', 'now') AS REAL), 1);
END;
CREATE TRIGGER nodes_mark_insert AFTER INSERT ON nodes
WHEN EXISTS (SELECT 1 FROM path_cache_marks
	WHERE id = (SELECT max(id) FROM path_cache_marks) AND through = NEW.node_id AND swept = 1)
BEGIN
	INSERT INTO path_cache_marks (through, marked_at) VALUES (NEW.node_id, CAST(strftime('%s', 'now') AS REAL));
END;
CREATE TRIGGER policies_mark_insert AFTER INSERT ON policies
WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (marked_at) VALUES (CAST(strftime('%s', 'now') AS REAL));
END;
CREATE TRIGGER policies_mark_update AFTER UPDATE OF policy_id, yaml_content ON policies
WHEN (OLD.policy_id IS NOT NEW.policy_id OR OLD.yaml_content IS NOT NEW.yaml_content)
	AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (marked_at) VALUES (CAST(strftime('%s', 'now') AS REAL));
END;
CREATE TRIGGER policies_mark_delete AFTER DELETE ON policies
WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (marked_at) VALUES (CAST(strftime('%s', 'now') AS REAL));
END;
CREATE TRIGGER nodes_log_insert AFTER INSERT ON nodes
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', NEW.node_id, 'insert');
END;
CREATE TRIGGER policies_log_insert AFTER INSERT ON policies
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', NEW.policy_id, 'insert');
END;
CREATE TRIGGER policies_log_delete AFTER DELETE ON policies
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', OLD.policy_id, 'delete');
END;
CREATE TRIGGER path_cache_log_insert AFTER INSERT ON path_cache
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', NEW.cache_key, 'insert');
END;
CREATE TRIGGER path_cache_log_delete AFTER DELETE ON path_cache
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', OLD.cache_key, 'delete');
END;
CREATE TRIGGER meshstore_changes_bound AFTER INSERT ON meshstore_changes
WHEN NEW.seq % 128 = 0
BEGIN
	DELETE FROM meshstore_changes WHERE seq < NEW.seq - 1000000;
END;
CREATE TRIGGER path_cache_marks_log AFTER INSERT ON path_cache_marks
WHEN NEW.logged = 0 AND (NEW.swept = 0 OR NEW.through IS NULL) AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache',
		json_object('source', NEW.source, 'destination', NEW.destination, 'through', NEW.through), 'invalidate');
END;
CREATE TRIGGER nodes_mark_update AFTER UPDATE OF node_id, interfaces, protocols, started ON nodes
WHEN (OLD.node_id IS NOT NEW.node_id OR OLD.interfaces IS NOT NEW.interfaces OR OLD.protocols IS NOT NEW.protocols OR OLD.started IS NOT NEW.started)
	AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at, logged) VALUES (OLD.node_id, CAST(strftime('%s', 'now') AS REAL), OLD.node_id IS NEW.node_id);
END;
CREATE TRIGGER nodes_mark_rename AFTER UPDATE OF node_id ON nodes
WHEN OLD.node_id IS NOT NEW.node_id AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at) VALUES (NEW.node_id, CAST(strftime('%s', 'now') AS REAL));
END;
CREATE TRIGGER nodes_mark_delete AFTER DELETE ON nodes
WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')
BEGIN
	INSERT INTO path_cache_marks (through, marked_at, logged) VALUES (OLD.node_id, CAST(strftime('%s', 'now') AS REAL), 1);
END;
CREATE TRIGGER nodes_log_update AFTER UPDATE ON nodes
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log') AND OLD.node_id IS NEW.node_id
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', NEW.node_id,
		CASE WHEN (OLD.interfaces IS NOT NEW.interfaces OR OLD.protocols IS NOT NEW.protocols OR OLD.started IS NOT NEW.started)
		AND NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN 'update+' ELSE 'update' END);
END;
CREATE TRIGGER nodes_log_rename AFTER UPDATE OF node_id ON nodes
WHEN OLD.node_id IS NOT NEW.node_id AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', OLD.node_id, 'delete');
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', NEW.node_id, 'insert');
END;
CREATE TRIGGER nodes_log_delete AFTER DELETE ON nodes
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('nodes', OLD.node_id,
		CASE WHEN NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN 'delete+' ELSE 'delete' END);
END;
CREATE TRIGGER policies_log_update AFTER UPDATE ON policies
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log') AND OLD.policy_id IS NEW.policy_id
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', NEW.policy_id, 'update');
END;
CREATE TRIGGER policies_log_rename AFTER UPDATE OF policy_id ON policies
WHEN OLD.policy_id IS NOT NEW.policy_id AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', OLD.policy_id, 'delete');
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('policies', NEW.policy_id, 'insert');
END;
CREATE TRIGGER path_cache_log_update AFTER UPDATE ON path_cache
WHEN EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log') AND OLD.cache_key IS NEW.cache_key
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', NEW.cache_key, 'update');
END;
CREATE TRIGGER path_cache_log_rename AFTER UPDATE OF cache_key ON path_cache
WHEN OLD.cache_key IS NOT NEW.cache_key AND EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')
BEGIN
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', OLD.cache_key, 'delete');
	INSERT INTO meshstore_changes (table_name, key, operation) VALUES ('path_cache', NEW.cache_key, 'insert');
END;
