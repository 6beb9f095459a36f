-- The log begins anew: positions of before have no nonce. Its readers get CHANGES_MISSED.
DELETE FROM meshstore_state WHERE name = 'change_log';
--> statement-breakpoint
DELETE FROM meshstore_consumers;
--> statement-breakpoint
-- Not renamed: triggers of other tables name it, and would have to be dropped first.
DROP TABLE `meshstore_changes`;
--> statement-breakpoint
CREATE TABLE `meshstore_changes` (
	`seq` integer PRIMARY KEY NOT NULL,
	`table_name` text NOT NULL,
	`key` text,
	`operation` text NOT NULL,
	`nonce` integer DEFAULT (random() & 9007199254740991) NOT NULL
);
--> statement-breakpoint
-- A subscriber that stops reading must not let the log grow without bound. A gap in the numbers tells it.
CREATE TRIGGER meshstore_changes_bound AFTER INSERT ON meshstore_changes
BEGIN
	DELETE FROM meshstore_changes WHERE seq <= NEW.seq - 1000000;
END;
--> statement-breakpoint
CREATE TABLE `meshstore_outcomes` (
	`token` text PRIMARY KEY NOT NULL,
	`state` text NOT NULL,
	`written_at` real DEFAULT (unixepoch()) NOT NULL
);
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('migration:1795882624000', '0004_change_log_nonces', 0);
--> statement-breakpoint
INSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:0004_change_log_nonces', 'Older code deletes changes that positions in the log name.', 0);
