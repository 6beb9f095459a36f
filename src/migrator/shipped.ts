/**
 * The migrations that drizzle-kit wrote, read from `migrations/` when the sources are run.
 *
 * The build replaces this module with the migrations' text (scripts/build/migrations.ts): bundles do not have the folder.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StorageError } from '../errors.ts'
import type { CreatedObjects } from './created-objects.ts'

export type Dialect = 'sqlite' | 'postgresql'

export interface Shipped {
  readonly tag: string
  readonly when: number
  /** SHA-256 of the file, as drizzle-kit computes it. */
  readonly hash: string
  readonly sql: string
}

interface Journal {
  readonly entries: readonly { readonly tag: string; readonly when: number }[]
}

/** Throws SCHEMA_MISMATCH if the dialects' folders are not twins. */
export function shipped(dialect: Dialect, folder = join(import.meta.dirname, '../../migrations')): readonly Shipped[] {
  const entriesOf = (of: Dialect): Journal['entries'] =>
    (JSON.parse(readFileSync(join(folder, of, 'meta/_journal.json'), 'utf8')) as Journal).entries
  const [entries, twins] = [entriesOf(dialect), entriesOf(dialect === 'sqlite' ? 'postgresql' : 'sqlite')]
  const single = entries.find(({ tag }, index) => twins[index]?.tag !== tag) ?? twins[entries.length]
  if (single !== undefined) throw noTwin(single.tag)
  return entries.map(({ tag, when }) => {
    const sql = readFileSync(join(folder, dialect, `${tag}.sql`), 'utf8')
    return { tag, when, hash: createHash('sha256').update(sql).digest('hex'), sql }
  })
}

/** The objects that the migrations create. The build fills them in; `undefined` means that they are read from the text. */
export const shippedObjects = (_: Dialect): CreatedObjects | undefined => undefined

const noTwin = (tag: string): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    `Only one dialect has the migration ${tag}, since drizzle-kit generate writes one folder. Nothing was changed. Remove the migration, then run npm run db:generate -- --name what_changes, which writes both.`,
  )
