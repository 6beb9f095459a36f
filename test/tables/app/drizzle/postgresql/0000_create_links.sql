CREATE TABLE "links" (
	"link_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"source" text COLLATE "C" NOT NULL,
	"to" text COLLATE "C" NOT NULL,
	"cost" double precision DEFAULT 1 NOT NULL,
	"is_up" boolean DEFAULT true NOT NULL,
	"site_id" text COLLATE "C",
	"owner" text COLLATE "C",
	"tags" jsonb NOT NULL,
	"seen_at" double precision,
	"created_at" double precision NOT NULL,
	"updated_at" double precision NOT NULL,
	CONSTRAINT "links_cost" CHECK ("links"."cost" >= 0)
);
--> statement-breakpoint
CREATE TABLE "sites" (
	"site_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"name" text COLLATE "C" NOT NULL,
	"floors" integer DEFAULT 1 NOT NULL,
	"plan" text
);
--> statement-breakpoint
ALTER TABLE "links" ADD CONSTRAINT "links_site_id_sites_site_id_fk" FOREIGN KEY ("site_id") REFERENCES "public"."sites"("site_id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "links" ADD CONSTRAINT "links_owner_nodes_node_id_fk" FOREIGN KEY ("owner") REFERENCES "public"."nodes"("node_id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_links_ends" ON "links" USING btree ("source","to");--> statement-breakpoint
CREATE INDEX "idx_links_cost" ON "links" USING btree ("cost","link_id");--> statement-breakpoint
CREATE INDEX "idx_links_updated" ON "links" USING btree ("updated_at");--> statement-breakpoint
CREATE UNIQUE INDEX "idx_sites_name" ON "sites" USING btree ("name");