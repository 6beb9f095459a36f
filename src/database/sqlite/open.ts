import type { Config } from '../../config.ts'
import { checkSqlite, migrateSqlite } from '../../migrator/sqlite-migrator.ts'
import { SqliteDatabase } from './sqlite-database.ts'

/** Opens a file, or `:memory:`, and brings its schema up to date. */
export function openSqlite(path: string, config: Config): Promise<SqliteDatabase> {
  const migrate = config.readOnly && config.migrate === 'apply' ? 'check' : config.migrate
  return SqliteDatabase.open(
    { ...config, path },
    {
      check: (raw) => {
        if (migrate !== 'skip') checkSqlite(raw, migrate)
      },
      migrate: async (raw, patience) => {
        if (migrate === 'apply') await migrateSqlite(raw, patience)
      },
    },
  )
}
