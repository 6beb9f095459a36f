CREATE TABLE `meshstore_changes` (
	`seq` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`table_name` text NOT NULL,
	`key` text,
	`operation` text NOT NULL
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
	`swept` integer DEFAULT false NOT NULL
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

CREATE TABLE `path_cache_stamps` (
	`cache_key` text PRIMARY KEY NOT NULL,
	`mark` integer NOT NULL
);

CREATE TABLE `meshstore_state` (
	`name` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL,
	`updated_at` real NOT NULL
);
