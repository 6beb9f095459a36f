CREATE TABLE "meshstore_changes" (
	"seq" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "meshstore_changes_seq_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"table_name" text NOT NULL,
	"key" text COLLATE "C",
	"operation" text NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL
);

CREATE TABLE "meshstore_consumers" (
	"name" text COLLATE "C" PRIMARY KEY NOT NULL,
	"position" text NOT NULL,
	"kept_until" double precision NOT NULL
);

CREATE TABLE "path_cache_marks" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "path_cache_marks_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"source" text COLLATE "C",
	"destination" text COLLATE "C",
	"through" text COLLATE "C",
	"marked_at" double precision NOT NULL,
	"swept" boolean DEFAULT false NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL
);

CREATE TABLE "nodes" (
	"node_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"interfaces" jsonb NOT NULL,
	"protocols" jsonb NOT NULL,
	"started" boolean DEFAULT false NOT NULL,
	"routes_discovered" integer DEFAULT 0 NOT NULL,
	"created_at" double precision NOT NULL,
	"updated_at" double precision NOT NULL,
	CONSTRAINT "nodes_interfaces_json" CHECK (jsonb_typeof("nodes"."interfaces") = 'array' AND NOT jsonb_path_exists("nodes"."interfaces", '$[*] ? (@.type() != "string")')),
	CONSTRAINT "nodes_protocols_json" CHECK (jsonb_typeof("nodes"."protocols") = 'array' AND NOT jsonb_path_exists("nodes"."protocols", '$[*] ? (@.type() != "string")')),
	CONSTRAINT "nodes_created_time" CHECK ("nodes"."created_at" BETWEEN -253402300799 AND 253402300799),
	CONSTRAINT "nodes_updated_time" CHECK ("nodes"."updated_at" BETWEEN -253402300799 AND 253402300799)
);

CREATE TABLE "path_cache" (
	"cache_key" text COLLATE "C" PRIMARY KEY NOT NULL,
	"source" text COLLATE "C" NOT NULL,
	"destination" text COLLATE "C" NOT NULL,
	"k" integer NOT NULL,
	"bundle_json" text NOT NULL,
	"created_at" double precision NOT NULL,
	"expires_at" double precision NOT NULL,
	CONSTRAINT "path_cache_k" CHECK ("path_cache"."k" >= 1),
	CONSTRAINT "path_cache_created_time" CHECK ("path_cache"."created_at" BETWEEN -253402300799 AND 253402300799),
	CONSTRAINT "path_cache_expires_time" CHECK ("path_cache"."expires_at" BETWEEN -253402300799 AND 253402300799)
);

CREATE TABLE "policies" (
	"policy_id" text COLLATE "C" PRIMARY KEY NOT NULL,
	"yaml_content" text NOT NULL,
	"rules_count" integer NOT NULL,
	"created_at" double precision NOT NULL,
	"updated_at" double precision NOT NULL,
	CONSTRAINT "policies_created_time" CHECK ("policies"."created_at" BETWEEN -253402300799 AND 253402300799),
	CONSTRAINT "policies_updated_time" CHECK ("policies"."updated_at" BETWEEN -253402300799 AND 253402300799)
);

CREATE TABLE "path_cache_stamps" (
	"cache_key" text COLLATE "C" PRIMARY KEY NOT NULL,
	"mark" bigint NOT NULL,
	"transaction" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"snapshot" "pg_snapshot" DEFAULT pg_current_snapshot() NOT NULL
);

CREATE TABLE "meshstore_state" (
	"name" text COLLATE "C" PRIMARY KEY NOT NULL,
	"value" text NOT NULL,
	"updated_at" double precision NOT NULL
);

CREATE INDEX "idx_changes_transaction" ON "meshstore_changes" USING btree ("transaction");
CREATE INDEX "idx_marks_unswept" ON "path_cache_marks" USING btree ("id") WHERE NOT swept;
CREATE INDEX "idx_marks_transaction" ON "path_cache_marks" USING btree ("transaction");
CREATE INDEX "idx_nodes_started" ON "nodes" USING btree ("started","node_id");
CREATE INDEX "idx_cache_expires" ON "path_cache" USING btree ("expires_at");
CREATE INDEX "idx_cache_source_dest" ON "path_cache" USING btree ("source","destination");
