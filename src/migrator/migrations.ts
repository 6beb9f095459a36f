/** The migrations that drizzle-kit wrote. They are part of the code: an application bundled into one file has them too. */
import { remember } from './created-objects.ts'
import { type Dialect, shipped, shippedObjects } from './shipped.ts'

export type { Dialect }

export interface Migration {
  /** Like `0000_create_tables`. */
  readonly tag: string
  /** The path in the package: `migrations/sqlite/0000_create_tables.sql`. */
  readonly file: string
  /** The journal's time, in milliseconds. drizzle-kit 1.0 writes it into the ledger without the milliseconds. */
  readonly when: number
  /** SHA-256 of the file, as drizzle-kit computes it. The ledger identifies a migration by this hash. */
  readonly hash: string
  readonly statements: readonly string[]
}

/** drizzle-kit 1.0's name of a migration: its folder, like `20261124093331_create_tables`. Its own tags are such names. */
export const folderOf = ({ tag, when }: Pick<Migration, 'tag' | 'when'>): string =>
  /^\d{14}_/.test(tag)
    ? tag
    : `${new Date(when).toISOString().replaceAll(/\D/g, '').slice(0, 14)}_${tag.replace(/^\d+_/, '')}`

export const statementsOf = (sql: string): string[] => sql.split('--> statement-breakpoint')

const loaded = new Map<Dialect, readonly Migration[]>()

export function migrationsOf(dialect: Dialect): readonly Migration[] {
  let found = loaded.get(dialect)
  if (found === undefined) {
    found = shipped(dialect).map(({ tag, when, hash, sql }) => ({
      tag,
      file: `migrations/${dialect}/${tag}.sql`,
      when,
      hash,
      statements: statementsOf(sql),
    }))
    const created = shippedObjects(dialect)
    if (created !== undefined) remember(found, created)
    loaded.set(dialect, found)
  }
  return found
}
