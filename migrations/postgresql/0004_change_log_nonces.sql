ALTER TABLE "meshstore_changes" ADD COLUMN "nonce" bigint DEFAULT floor(random() * 9007199254740992) NOT NULL;
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('migration:1795882624000', '0004_change_log_nonces', 0);
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:0004_change_log_nonces', 'Older code deletes changes that positions in the log name.', 0);
