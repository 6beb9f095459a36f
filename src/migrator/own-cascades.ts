/**
 * DROP TABLE deletes the rows first where foreign keys are on. drizzle-kit's `PRAGMA foreign_keys=OFF` has no effect in the
 * transaction in which it applies migrations, so that a table which it makes anew takes the rows with it that refer to it.
 */
import type { Migration } from './migrations.ts'

export interface Cascade {
  /** The migration. */
  readonly tag: string
  /** The table that it drops, or makes anew. */
  readonly drops: string
  /** Tables that refer to it, and whose rows would be deleted or changed. */
  readonly tables: readonly string[]
}

const NAME = /(?:["`]?\w+["`]?\.)?["`]?([\w$]+)["`]?/.source
const ON = /\s+ON\s+(?:UPDATE|DELETE)\s+(?:CASCADE|RESTRICT|NO\s+ACTION|SET\s+NULL|SET\s+DEFAULT)/.source
const PARTS = new RegExp(
  String.raw`(CREATE|ALTER|DROP)\s+TABLE\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?${NAME}|RENAME\s+TO\s+${NAME}|REFERENCES\s+${NAME}(?:\s*\([^)]*\))?((?:${ON})*)`,
  'giu',
)

/** Finds the migrations in which DROP TABLE deletes or changes rows of other tables while SQLite's foreign keys are on. */
export function cascadesIn(migrations: readonly Migration[]): Cascade[] {
  // For each table, its parents: a foreign key to one of them deletes or sets this table's rows with the parent's.
  const parents = new Map<string, Set<string>>()
  const found: Cascade[] = []
  for (const { tag, statements } of migrations) {
    let table = ''
    for (const [, verb, name = '', renamed, parent = '', actions = ''] of statements.join(';\n').matchAll(PARTS)) {
      if (renamed !== undefined) rename(parents, table, renamed)
      else if (verb === undefined) {
        if (/DELETE\s+(CASCADE|SET)/i.test(actions)) parents.set(table, (parents.get(table) ?? new Set()).add(parent))
      } else {
        table = name
        if (verb.toUpperCase() !== 'DROP') continue
        parents.delete(table)
        const tables = [...parents].filter(([, of]) => of.has(table)).map(([child]) => child.replace(/^__new_/, ''))
        if (tables.length > 0) found.push({ tag, drops: table, tables })
      }
    }
  }
  return found
}

/** SQLite renames a table in the foreign keys of others, too. */
function rename(parents: Map<string, Set<string>>, from: string, to: string): void {
  const own = parents.get(from)
  parents.delete(from)
  if (own !== undefined) parents.set(to, own)
  for (const of of parents.values()) if (of.delete(from)) of.add(to)
}
