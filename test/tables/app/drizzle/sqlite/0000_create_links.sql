CREATE TABLE `links` (
	`link_id` text PRIMARY KEY NOT NULL,
	`source` text NOT NULL,
	`to` text NOT NULL,
	`cost` real DEFAULT 1 NOT NULL,
	`is_up` integer DEFAULT true NOT NULL,
	`site_id` text,
	`owner` text,
	`tags` text NOT NULL,
	`seen_at` real,
	`created_at` real NOT NULL,
	`updated_at` real NOT NULL,
	FOREIGN KEY (`site_id`) REFERENCES `sites`(`site_id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`owner`) REFERENCES `nodes`(`node_id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "links_cost" CHECK("links"."cost" >= 0)
);
--> statement-breakpoint
CREATE INDEX `idx_links_ends` ON `links` (`source`,`to`);--> statement-breakpoint
CREATE INDEX `idx_links_cost` ON `links` (`cost`,`link_id`);--> statement-breakpoint
CREATE INDEX `idx_links_updated` ON `links` (`updated_at`);--> statement-breakpoint
CREATE TABLE `sites` (
	`site_id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`floors` integer DEFAULT 1 NOT NULL,
	`plan` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `idx_sites_name` ON `sites` (`name`);