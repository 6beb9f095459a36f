/** The migrations that drizzle-kit wrote and that this package ships. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { StorageError } from '../errors.ts'

export interface Migration {
  /** Like `0000_create_tables`. */
  readonly tag: string
  /** The journal's time: what the ledger knows a migration by. */
  readonly when: number
  /** sha256 of the file, as drizzle-kit computes it. */
  readonly hash: string
  readonly statements: readonly string[]
}

interface Journal {
  readonly entries: readonly { readonly tag: string; readonly when: number }[]
}

const loaded = new Map<string, readonly Migration[]>()

export function migrationsOf(dialect: 'sqlite' | 'postgresql'): readonly Migration[] {
  let found = loaded.get(dialect)
  if (found === undefined) {
    const folder = join(migrationsFolder(), dialect)
    const journal: Journal = JSON.parse(readFileSync(join(folder, 'meta', '_journal.json'), 'utf8'))
    found = journal.entries.map(({ tag, when }) => readMigration(join(folder, `${tag}.sql`), tag, when))
    loaded.set(dialect, found)
  }
  return found
}

function readMigration(file: string, tag: string, when: number): Migration {
  const text = readFileSync(file, 'utf8')
  const hash = createHash('sha256').update(text).digest('hex')
  return { tag, when, hash, statements: text.split('--> statement-breakpoint') }
}

/** Beside `dist/` in the package, beside `src/` in the repository. */
function migrationsFolder(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const candidate = join(folder, 'migrations')
    if (existsSync(join(candidate, 'sqlite', 'meta', '_journal.json'))) return candidate
  }
  throw new StorageError('CONFIG', 'The package is incomplete: its migrations folder is missing. Install it again.')
}
