#!/bin/sh
# Before each start: a backup, the migrations, a check. Whatever fails stops the release, and the old version goes on.
set -eu
: "${DATABASE_URL:?names the database}"
: "${BACKUPS:=./backups}"

case "$DATABASE_URL" in
  postgres://* | postgresql://*)
    # The password is in the URL, and would be seen in the list of processes: pg_dump reads it from PGPASSWORD or ~/.pgpass.
    if [ -n "${PG_DUMP_URL:-}" ]; then
      mkdir -p "$BACKUPS"
      pg_dump --format=custom --file="$BACKUPS/mesh-$(date -u +%Y%m%dT%H%M%SZ).dump" "$PG_DUMP_URL"
    fi
    ;;
  *)
    # Nothing to back up before the first release.
    npx meshstore backup create --if-exists --folder "$BACKUPS" --keep-last 5 --keep-daily 7 --keep-weekly 4
    ;;
esac

# drizzle-kit and meshstore keep the same ledger: `npx drizzle-kit migrate` would do as well, on a database that is new or
# has one. `meshstore migrate up` also takes a lock, copies a SQLite file first, and adopts one that another program made.
npx meshstore migrate up --wait 30
# 0: nothing is pending, and the tables are as their migrations made them.
npx meshstore migrate status
