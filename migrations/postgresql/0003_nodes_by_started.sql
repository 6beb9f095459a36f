DROP INDEX IF EXISTS "idx_nodes_started";--> statement-breakpoint
CREATE INDEX "idx_nodes_started" ON "nodes" USING btree ("started","node_id");--> statement-breakpoint
CREATE INDEX "idx_nodes_updated" ON "nodes" USING btree ("updated_at","node_id");
--> statement-breakpoint
CREATE INDEX "idx_policies_updated" ON "policies" USING btree ("updated_at","policy_id");
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('migration:1795880043000', '0003_nodes_by_started', 0);
