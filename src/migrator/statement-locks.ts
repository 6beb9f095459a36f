/** The locks that a migration's statements take on PostgreSQL, and their estimated times: for `meshstore migrate plan`. */
import { createdIndex, SMALL_BYTES } from './concurrent-indexes.ts'
import type { Migration } from './migrations.ts'
import type { Queryable } from './postgres-missing.ts'

/** The effect of a statement on other sessions. */
export interface StatementLock {
  readonly table: string
  /** PostgreSQL's name of the lock: `ACCESS EXCLUSIVE`. */
  readonly lock: string
  /** The work of other sessions that the lock holds up. */
  readonly blocks: 'nothing' | 'writes' | 'reads and writes'
  /** For about how long, in seconds, by the size of the table. */
  readonly aboutSeconds: number
  /** The index is built before the migration's transaction. */
  readonly isBuiltBefore?: boolean
}

/** Bytes a second: rates of a slow disk. */
const REWRITES = 25_000_000
const READS = 100_000_000
/** A statement that changes only the catalog. */
const MOMENT = 0.05

const NAME = '(?:"[^"]+"\\.|\\w+\\.)?("[^"]+"|\\w+)'
const pattern = (text: string): RegExp => new RegExp(`^${text.replaceAll('NAME', NAME)}`, 'i')
const CREATE_TABLE = pattern('CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?NAME')
const ALTER_TABLE = pattern('ALTER TABLE (?:IF EXISTS )?(?:ONLY )?NAME')
const DROP_TABLE = pattern('DROP TABLE (?:IF EXISTS )?NAME')
const DROP_INDEX = pattern('DROP INDEX (?:IF EXISTS )?NAME')
const TRIGGER = /^(CREATE(?: OR REPLACE)?|DROP) TRIGGER\b[\s\S]*? ON (?:"[^"]+"\.|\w+\.)?("[^"]+"|\w+)/i
const WRITES = pattern('(?:INSERT INTO|UPDATE|DELETE FROM) NAME')

/** A default that is computed for each row: the table is written anew. */
const VOLATILE_DEFAULT =
  /ADD COLUMN[\s\S]*\b(random|gen_random_uuid|nextval|clock_timestamp)\s*\(|\b(big)?serial\b|GENERATED/i
const NEW_TYPE = /ALTER COLUMN[\s\S]*(SET DATA )?TYPE\b/i
const CHECKED_ROWS = /ADD CONSTRAINT[\s\S]*\b(CHECK|FOREIGN KEY)\b|SET NOT NULL|VALIDATE CONSTRAINT/i
const FOREIGN_KEY = /ADD CONSTRAINT[\s\S]*FOREIGN KEY/i
const NEW_KEY = /ADD (CONSTRAINT[\s\S]*)?(PRIMARY KEY|UNIQUE)/i

const bare = (name = ''): string => name.replaceAll('"', '')
const withoutComments = (statement: string): string => statement.replaceAll(/^\s*--.*$/gm, '').trim()

type SizeOf = (table: string) => number | undefined

/** `undefined`: the statement makes no other session wait. `sizeOf` is `undefined` for a table that is not there yet. */
function lockOf(statement: string, sizeOf: SizeOf): StatementLock | undefined {
  const text = withoutComments(statement)
  const index = createdIndex(text)
  if (index !== undefined) return indexLock(index.table, sizeOf)
  const [, altered] = ALTER_TABLE.exec(text) ?? []
  if (altered !== undefined) return alterLock(bare(altered), text, sizeOf)
  const [, dropped] = DROP_TABLE.exec(text) ?? []
  if (dropped !== undefined) return ofMoment(bare(dropped), 'ACCESS EXCLUSIVE', sizeOf)
  const [, droppedIndex] = DROP_INDEX.exec(text) ?? []
  if (droppedIndex !== undefined)
    return {
      table: `the table of ${bare(droppedIndex)}`,
      lock: 'ACCESS EXCLUSIVE',
      blocks: 'reads and writes',
      aboutSeconds: MOMENT,
    }
  const [, verb, on] = TRIGGER.exec(text) ?? []
  if (on !== undefined)
    return ofMoment(bare(on), /^drop/i.test(verb ?? '') ? 'ACCESS EXCLUSIVE' : 'SHARE ROW EXCLUSIVE', sizeOf)
  if (CREATE_TABLE.test(text)) return undefined
  const [, written] = WRITES.exec(text) ?? []
  const size = written === undefined ? undefined : sizeOf(bare(written))
  if (written === undefined || size === undefined) return undefined
  return { table: bare(written), lock: 'ROW EXCLUSIVE', blocks: 'nothing', aboutSeconds: MOMENT }
}

function ofMoment(table: string, lock: string, sizeOf: SizeOf): StatementLock | undefined {
  if (sizeOf(table) === undefined) return undefined
  return { table, lock, blocks: lock === 'ACCESS EXCLUSIVE' ? 'reads and writes' : 'writes', aboutSeconds: MOMENT }
}

function indexLock(table: string, sizeOf: SizeOf): StatementLock | undefined {
  const size = sizeOf(table)
  if (size === undefined) return undefined
  const aboutSeconds = Math.max(MOMENT, size / REWRITES)
  if (size < SMALL_BYTES) return { table, lock: 'SHARE', blocks: 'writes', aboutSeconds }
  return { table, lock: 'SHARE UPDATE EXCLUSIVE', blocks: 'nothing', aboutSeconds, isBuiltBefore: true }
}

function alterLock(table: string, text: string, sizeOf: SizeOf): StatementLock | undefined {
  const size = sizeOf(table)
  if (size === undefined) return undefined
  const isRewritten = VOLATILE_DEFAULT.test(text) || NEW_TYPE.test(text) || NEW_KEY.test(text)
  const isRead = CHECKED_ROWS.test(text) && !/\bNOT VALID\b/i.test(text)
  const seconds = isRewritten ? size / REWRITES : isRead ? size / READS : 0
  const lock = FOREIGN_KEY.test(text) ? 'SHARE ROW EXCLUSIVE' : 'ACCESS EXCLUSIVE'
  const blocks = lock === 'ACCESS EXCLUSIVE' ? 'reads and writes' : 'writes'
  return { table, lock, blocks, aboutSeconds: Math.max(MOMENT, seconds) }
}

/** Sizes of the tables that the search path shows, in bytes, with their indexes. */
export async function tableSizes(on: Queryable): Promise<ReadonlyMap<string, number>> {
  const { rows } = await on.query<{ name: string; bytes: number }>(
    `SELECT relname AS name, pg_table_size(pg_class.oid)::float8 AS bytes FROM pg_class
     JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE nspname = ANY (current_schemas(false)) AND relkind IN ('r', 'p')`,
  )
  return new Map(rows.map(({ name, bytes }) => [name, bytes]))
}

/** For each statement that is not empty, in the order of the migration. */
export function locksOf(migration: Migration, sizes: ReadonlyMap<string, number>): (StatementLock | undefined)[] {
  const made = new Set<string>()
  return migration.statements
    .filter((statement) => statement.trim() !== '')
    .map((statement) => {
      const [, created] = CREATE_TABLE.exec(withoutComments(statement)) ?? []
      if (created !== undefined) made.add(bare(created))
      return lockOf(statement, (table) => (made.has(table) ? undefined : sizes.get(table)))
    })
}

/** `locks nodes (ACCESS EXCLUSIVE): reads and writes wait, for less than 1 s`. */
export function lockText({ table, lock, blocks, aboutSeconds, isBuiltBefore }: StatementLock): string {
  const time = aboutSeconds < 1 ? 'less than 1 s' : `about ${Math.round(aboutSeconds)} s`
  const who = blocks === 'nothing' ? 'nothing waits' : `${blocks} wait`
  const before = isBuiltBefore ? '; built before the migration' : ''
  return `locks ${table} (${lock}): ${who}, for ${time}${before}`
}
