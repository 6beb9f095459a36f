#!/bin/sh
# Before each start: a backup, the migrations, a check. Whatever fails stops the release, and the old version goes on.
set -eu
: "${DATABASE_URL:?names the database}"
: "${BACKUPS:=./backups}"

# Nothing to back up before the first release. A backup of PostgreSQL has the rows of the store's tables and of
# your own tables: roles, rights and other tables are for pg_dump.
npx meshstore backup create --if-exists --folder "$BACKUPS" --keep-last 5 --keep-daily 7 --keep-weekly 4

# drizzle-kit and meshstore keep the same ledger: `npx drizzle-kit migrate` would do as well, on a database that is new or
# has one. `meshstore migrate up` also takes a lock, copies a SQLite file first, and adopts one that another program made.
npx meshstore migrate up --wait 30
# 0: nothing is pending, and the tables are as their migrations made them.
npx meshstore migrate status
