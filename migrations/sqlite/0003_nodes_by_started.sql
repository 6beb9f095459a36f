DROP INDEX IF EXISTS `idx_nodes_started`;--> statement-breakpoint
CREATE INDEX `idx_nodes_started` ON `nodes` (`started`,`node_id`);