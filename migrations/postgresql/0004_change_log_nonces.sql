ALTER TABLE "meshstore_changes" ADD COLUMN "nonce" bigint DEFAULT floor(random() * 9007199254740992) NOT NULL;
--> statement-breakpoint
CREATE TABLE "meshstore_outcomes" (
	"token" text COLLATE "C" PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"written_at" double precision DEFAULT extract(epoch FROM now()) NOT NULL
);
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('migration:1795882624000', '0004_change_log_nonces', 0);
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:0004_change_log_nonces', 'Older code deletes changes that positions in the log name.', 0);
