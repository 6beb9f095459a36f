import type { Config } from '../../config.ts'
import { checkSqlite, migrateSqlite } from '../../migrator/sqlite-migrator.ts'
import type { MigrationOptions } from '../../migrator/steps.ts'
import { Patience } from './connection.ts'
import { SqliteDatabase } from './sqlite-database.ts'

/** Another process may be making a backup of a large file and building its tables anew. */
const MIGRATION_WAIT_MS = 600_000

/** Opens a file, or `:memory:`, and brings its schema up to date; an existing file is backed up first. */
export function openSqlite(path: string, config: Config): Promise<SqliteDatabase> {
  const migrate = config.readOnly && config.migrate === 'apply' ? 'check' : config.migrate
  return SqliteDatabase.open(
    { ...config, path },
    {
      check: async (raw) => {
        if (migrate !== 'skip') await checkSqlite(raw, migrate, config.migration)
      },
      migrate: async (raw) => {
        if (migrate === 'apply') await migrateSqlite(raw, new Patience(MIGRATION_WAIT_MS), withBackup(config.migration))
      },
    },
  )
}

/** Unless the caller says how, the backup lies beside the file. */
function withBackup(options: MigrationOptions = {}): MigrationOptions {
  const backup = async (before: string, path: string): Promise<void> => {
    const { copyBefore, nameBefore } = await import('../../backup/before-migration.ts')
    await copyBefore(path, nameBefore(path, before))
  }
  return { backup, ...options }
}
