CREATE TABLE "links" (
	"link_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"source" text COLLATE "C" NOT NULL,
	"target" text COLLATE "C" NOT NULL,
	"cost" double precision NOT NULL,
	"kind" text COLLATE "C",
	"created_at" double precision NOT NULL,
	"updated_at" double precision NOT NULL,
	CONSTRAINT "links_cost" CHECK ("links"."cost" >= 0)
);
--> statement-breakpoint
CREATE TABLE "mesh_facts" (
	"name" text COLLATE "C" PRIMARY KEY NOT NULL,
	"value" text COLLATE "C" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "node_labels" (
	"label_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"node_id" text COLLATE "C" NOT NULL,
	"name" text COLLATE "C" NOT NULL,
	"value" text COLLATE "C" NOT NULL
);
--> statement-breakpoint
ALTER TABLE "links" ADD CONSTRAINT "links_source_nodes_node_id_fk" FOREIGN KEY ("source") REFERENCES "public"."nodes"("node_id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "links" ADD CONSTRAINT "links_target_nodes_node_id_fk" FOREIGN KEY ("target") REFERENCES "public"."nodes"("node_id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "node_labels" ADD CONSTRAINT "node_labels_node_id_nodes_node_id_fk" FOREIGN KEY ("node_id") REFERENCES "public"."nodes"("node_id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_links_source" ON "links" USING btree ("source");--> statement-breakpoint
CREATE INDEX "idx_links_target" ON "links" USING btree ("target");--> statement-breakpoint
CREATE INDEX "idx_links_cost" ON "links" USING btree ("cost");--> statement-breakpoint
CREATE INDEX "idx_node_labels_node" ON "node_labels" USING btree ("node_id");--> statement-breakpoint
CREATE INDEX "idx_node_labels_name" ON "node_labels" USING btree ("name","value");