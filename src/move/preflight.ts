import { existsSync } from 'node:fs'
import { StorageError } from '../errors.ts'
import { configOf, databaseOf } from '../open/config.ts'
import { inspect } from '../open/migrate.ts'
import { openTarget } from '../open/open.ts'
import { type DatabaseTables, OUR_TABLES_ALONE } from '../rows/own-tables.ts'
import { statementsOf } from '../rows/statements.ts'
import { taken } from '../rows/target.ts'
import { tablesAt } from '../transfer/tables.ts'

/**
 * Preflight check of a copy's target: it must be new, or have our tables without rows. Returns its tables. Throws CONFIG, or
 * the error that the migrator finds. Changes nothing.
 */
export async function assertEmpty(url: string, busyTimeoutMs: number): Promise<DatabaseTables> {
  const target = databaseOf(url)
  if (target.dialect === 'sqlite' && target.path === ':memory:')
    throw new StorageError('CONFIG', 'A database in memory is gone with the process. Name a file.')
  if (target.dialect === 'sqlite' && !existsSync(target.path)) return OUR_TABLES_ALONE
  const { state, problem, newer: unknown } = await inspect(url, busyTimeoutMs)
  if (problem !== undefined) throw new StorageError(problem.code, `The target: ${problem.message}`)
  if (state === 'adoptable')
    throw new StorageError(
      'CONFIG',
      'The target is a file of another program. Nothing was changed. Name an empty database.',
    )
  const [last] = unknown.slice(-1)
  if (last !== undefined) throw newer('target', last)
  if (state === 'new') return OUR_TABLES_ALONE
  const found = await tablesAt(url, busyTimeoutMs)
  const config = configOf({ url, readOnly: true, migrate: 'skip', busyTimeoutMs, pool: { max: 1 } })
  const database = await openTarget(config.target, config)
  try {
    for (const table of found.tables)
      if ((await database.readOne(statementsOf(table).any, {})) !== undefined) throw taken(table.name)
    return found
  } finally {
    await database.close()
  }
}

export const newer = (which: 'source' | 'target', schemaVersion: string): StorageError =>
  new StorageError(
    'SCHEMA_NEWER',
    `A newer version of this package has migrated the ${which} (${schemaVersion}), and both must have the same schema. Nothing was changed. Copy with that version.`,
  )
