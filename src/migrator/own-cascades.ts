/**
 * DROP TABLE deletes the rows first where foreign keys are on. drizzle-kit's `PRAGMA foreign_keys=OFF` has no effect in the
 * transaction in which it applies migrations, so that a table which it makes anew takes the rows with it that refer to it.
 */
import type Sqlite from 'better-sqlite3'
import { isError } from '../errors.ts'
import { type Migration, migrationsOf } from './migrations.ts'
import { withFresh } from './sqlite-drift.ts'

export interface Cascade {
  /** The migration. */
  readonly tag: string
  /** The table that it drops, or makes anew. */
  readonly drops: string
  /** Tables that refer to it, and whose rows would be deleted or changed. */
  readonly tables: readonly string[]
}

const DROP = /^(?:\s|--.*\n|\/\*[\s\S]*?\*\/)*DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?["`[]?([\w$]+)/i

/**
 * Finds the application's migrations in which DROP TABLE deletes or changes rows of other tables while SQLite's foreign keys
 * are on. It applies them in memory, and asks SQLite before each DROP TABLE.
 */
export function cascadesIn(migrations: readonly Migration[]): Cascade[] {
  return withFresh(migrationsOf('sqlite'), (fresh) => {
    const found: Cascade[] = []
    for (const { tag, statements } of migrations) {
      for (const statement of statements.flatMap((text) => [...singleStatements(fresh, text)])) {
        const drops = DROP.exec(statement)?.[1]
        const tables = drops === undefined ? [] : cascadingTo(fresh, drops)
        if (drops !== undefined && tables.length > 0) found.push({ tag, drops, tables })
        apply(fresh, statement)
      }
    }
    return found
  })
}

/** A file without drizzle-kit's breakpoints has several statements in one. */
function* singleStatements(fresh: Sqlite.Database, text: string): Generator<string> {
  let statement = ''
  for (const piece of text.split(/(?<=;)/)) {
    statement += piece
    if (isCut(fresh, statement)) continue
    yield statement
    statement = ''
  }
  if (statement !== '') yield statement
}

/** Whether the text ends within a trigger's body, a string or a comment. */
function isCut(fresh: Sqlite.Database, statement: string): boolean {
  try {
    fresh.prepare(statement)
    return false
  } catch (error) {
    return isError(error) && /^incomplete input|^unrecognized token|contains no statements/.test(error.message)
  }
}

/** A migration may need rows, or tables of other programs: then later ones are still worth a look. */
function apply(fresh: Sqlite.Database, statement: string): void {
  try {
    fresh.exec(statement)
  } catch {
    if (fresh.inTransaction) fresh.exec('ROLLBACK')
  }
}

/** In a rebuild, `__new_notes` is about to become `notes`. */
const cascadingTo = (fresh: Sqlite.Database, parent: string): string[] =>
  fresh
    .prepare<{ parent: string }, string>(
      `SELECT DISTINCT tables.name FROM sqlite_schema AS tables, pragma_foreign_key_list(tables.name) AS keys
       WHERE tables.type = 'table' AND lower(keys."table") = lower(@parent) AND lower(tables.name) <> lower(@parent)
         AND (keys.on_delete = 'CASCADE' OR keys.on_delete LIKE 'SET %')`,
    )
    .pluck()
    .all({ parent })
    .map((child) => child.replace(/^__new_/, ''))
