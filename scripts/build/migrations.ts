/** Files made from migrations/: the module that bundles apply them from, and the folders that drizzle-kit 1.0 reads. */
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Plugin } from 'rolldown'
import { objectsCreatedBy } from '../../src/migrator/created-objects.ts'
import { folderOf, statementsOf } from '../../src/migrator/migrations.ts'
import { type Dialect, type Shipped, shipped } from '../../src/migrator/shipped.ts'
import { readJson, writeJson } from './files.ts'
import { type Snapshot, translated } from './snapshots.ts'

const DIALECTS: readonly Dialect[] = ['sqlite', 'postgresql']

/** In place of src/migrator/shipped.ts: the same functions, with the migrations of that tree in them. */
export const embeddedMigrations: Plugin = {
  name: 'embedded-migrations',
  load: (id) =>
    /[\\/]src[\\/]migrator[\\/]shipped\.ts$/.test(id) ? moduleOf(join(id, '../../../migrations')) : undefined,
}

export function moduleOf(folder: string): string {
  const all = Object.fromEntries(DIALECTS.map((dialect) => [dialect, shipped(dialect, folder)]))
  const created = Object.fromEntries(DIALECTS.map((dialect) => [dialect, objectsOf(shipped(dialect, folder))]))
  return `const SHIPPED = ${JSON.stringify(all)}
export const shipped = (dialect) => SHIPPED[dialect]
const OBJECTS = ${JSON.stringify(created)}
export const shippedObjects = (dialect) => ({
  tables: new Map(OBJECTS[dialect].tables.map(([name, constraints]) => [name, new Set(constraints)])),
  triggers: new Map(
    OBJECTS[dialect].triggers.map(([name, table, at, from, to]) => [name, { table, sql: SHIPPED[dialect][at].sql.slice(from, to) }]),
  ),
})
`
}

function objectsOf(migrations: readonly Shipped[]) {
  const { tables, triggers } = objectsCreatedBy(migrations.map(({ sql }) => ({ statements: statementsOf(sql) })))
  return {
    tables: [...tables].map(([name, constraints]) => [name, [...constraints]]),
    // A trigger's text is the place where a migration has it.
    triggers: [...triggers].map(([name, { table, sql }]) => {
      const at = migrations.findLastIndex((migration) => migration.sql.includes(sql))
      const from = migrations[at]?.sql.indexOf(sql) ?? 0
      return [name, table, at, from, from + sql.length]
    }),
  }
}

/**
 * A folder for each migration, with the SQL to the letter. One snapshot is enough for `check` and `generate`: that of the
 * last migration.
 */
export async function writeFolders(project: string, to: string): Promise<void> {
  for (const dialect of DIALECTS) {
    const from = join(project, 'migrations', dialect)
    const migrations = shipped(dialect, join(project, 'migrations'))
    for (const migration of migrations) {
      const folder = join(to, dialect, folderOf(migration))
      await mkdir(folder, { recursive: true })
      await cp(join(from, `${migration.tag}.sql`), join(folder, 'migration.sql'))
      if (migration !== migrations.at(-1)) continue
      const number = migration.tag.replace(/_.*/, '')
      const snapshot = await readJson<Snapshot>(join(from, 'meta', `${number}_snapshot.json`))
      await writeJson(join(folder, 'snapshot.json'), translated(snapshot))
    }
  }
}
