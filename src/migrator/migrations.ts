/** The migrations that drizzle-kit wrote. They are part of the code: an application bundled into one file has them too. */
import { SHIPPED } from './shipped.ts'

export type Dialect = keyof typeof SHIPPED

export interface Migration {
  /** Like `0000_create_tables`. */
  readonly tag: string
  /** As a person finds it in the package: `migrations/sqlite/0000_create_tables.sql`. */
  readonly file: string
  /** The journal's time, in milliseconds: what the ledger knows a migration by. */
  readonly when: number
  /** sha256 of the file, as drizzle-kit computes it. */
  readonly hash: string
  readonly statements: readonly string[]
}

const loaded = new Map<Dialect, readonly Migration[]>()

export function migrationsOf(dialect: Dialect): readonly Migration[] {
  let found = loaded.get(dialect)
  if (found === undefined) {
    found = SHIPPED[dialect].map(({ tag, when, hash, sql }) => ({
      tag,
      file: `migrations/${dialect}/${tag}.sql`,
      when,
      hash,
      statements: sql.split('--> statement-breakpoint'),
    }))
    loaded.set(dialect, found)
  }
  return found
}
