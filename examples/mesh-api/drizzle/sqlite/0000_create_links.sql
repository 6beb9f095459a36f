CREATE TABLE `links` (
	`link_id` text PRIMARY KEY NOT NULL,
	`source` text NOT NULL,
	`target` text NOT NULL,
	`cost` real NOT NULL,
	`kind` text,
	`created_at` real NOT NULL,
	`updated_at` real NOT NULL,
	FOREIGN KEY (`source`) REFERENCES `nodes`(`node_id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`target`) REFERENCES `nodes`(`node_id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "links_cost" CHECK("links"."cost" >= 0)
);
--> statement-breakpoint
CREATE INDEX `idx_links_source` ON `links` (`source`);--> statement-breakpoint
CREATE INDEX `idx_links_target` ON `links` (`target`);--> statement-breakpoint
CREATE INDEX `idx_links_cost` ON `links` (`cost`);--> statement-breakpoint
CREATE TABLE `mesh_facts` (
	`name` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `node_labels` (
	`label_id` text PRIMARY KEY NOT NULL,
	`node_id` text NOT NULL,
	`name` text NOT NULL,
	`value` text NOT NULL,
	FOREIGN KEY (`node_id`) REFERENCES `nodes`(`node_id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `idx_node_labels_node` ON `node_labels` (`node_id`);--> statement-breakpoint
CREATE INDEX `idx_node_labels_name` ON `node_labels` (`name`,`value`);