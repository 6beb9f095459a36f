import type { Copy } from '../backup/before-migration.ts'
import { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { prepareFenceQuery } from '../database/sqlite/fence.ts'
import { SqliteDatabase } from '../database/sqlite/sqlite-database.ts'
import { checkSqlite, isUnrecorded, problemOf, schemaVersionOf } from '../migrator/sqlite-migrator.ts'
import type { MigrationOptions } from '../migrator/steps.ts'
import type { Config } from './config.ts'

/** Opens a file, or `:memory:`, and brings its schema up to date; an existing file is backed up first. */
export async function openSqlite(path: string, config: Config): Promise<SqliteDatabase> {
  const asked = config.readOnly && config.migrate === 'apply' ? 'check' : config.migrate
  let migrate = asked
  let isPending = false
  // Loaded for applications with tables of their own.
  const own = config.own && { setup: config.own, ...(await import('../migrator/own-sqlite.ts')) }
  return SqliteDatabase.open(
    // `migrate: 'check'` must not make a missing file: nothing would tell it from one that lost its tables.
    { ...config, path, create: !config.readOnly && asked !== 'check' },
    {
      check: async (raw) => {
        // The data has moved: no program uses this file any more, so skip the check of its schema.
        migrate = prepareFenceQuery(raw)() === undefined ? asked : 'skip'
        if (migrate !== 'skip') isPending = await checkSqlite(raw, migrate, config.migration)
        if (migrate === 'check') own?.checkOwnSqlite(raw, own.setup)
      },
      adopt: async (raw) => {
        if (!isPending) return
        // Another process may be switching the file to WAL mode.
        if (!(await new BusyRetry(config.busyTimeoutMs).run(() => isUnrecorded(raw)))) return
        raw.pragma('synchronous = FULL')
        const { migrateSqlite } = await import('../migrator/apply-sqlite.ts')
        await migrateSqlite(raw, new BusyRetry(config.migrationWaitMs), withBackup(config))
      },
      migrate: async (raw) => {
        if (migrate !== 'apply') return
        const busyRetry = new BusyRetry(config.migrationWaitMs)
        if (isPending) {
          const { migrateSqlite } = await import('../migrator/apply-sqlite.ts')
          await migrateSqlite(raw, busyRetry, withBackup(config))
        }
        await own?.migrateOwnSqlite(raw, busyRetry, own.setup, withBackup(config))
      },
      version: schemaVersionOf,
      problem: (raw) => {
        const problem = problemOf(raw)
        if (problem === undefined) own?.assertSettled(raw, own.setup)
        return problem
      },
    },
  )
}

/** By default the backup is made beside the file. */
function withBackup({ now, migration }: Config): MigrationOptions {
  const backup = async (before: string, path: string): Promise<Copy> => {
    const { copyBeforeMigration } = await import('../backup/before-migration.ts')
    return copyBeforeMigration(path, before, { now })
  }
  return { now, backup, ...migration }
}
