import type { Config } from '../../config.ts'
import { migrateSqlite } from '../../migrator/sqlite-migrator.ts'
import { SqliteDatabase } from './sqlite-database.ts'

/** Opens a file, or `:memory:`, and brings its schema up to date. */
export function openSqlite(path: string, config: Config): Promise<SqliteDatabase> {
  const { migrate, readOnly } = config
  return SqliteDatabase.open({ ...config, path }, async (writer, patience) => {
    if (migrate !== 'skip') await migrateSqlite(writer.raw, { mode: readOnly ? 'check' : migrate, patience })
  })
}
