import type { Session } from '../database/session.ts'
import { propertyOf, StorageError, type StorageErrorCode } from '../errors.ts'
import { upsert } from '../repositories/node-statements.ts'
import { asWrite, statementsOf, type TableStatements } from '../rows/statements.ts'
import type { Table } from '../schema/tables.ts'
import { type Counts, countsOf, type TableCounts } from './counts.ts'
import { parametersOf } from './rows.ts'
import type { FileFormat } from './stage.ts'
import type { OnConflict, StagedRow, Staging } from './staging.ts'

export interface WriteOptions {
  readonly format: FileFormat
  /** In the order of writing. */
  readonly tables: readonly Table[]
  readonly onConflict: OnConflict
  /** `false`: only counts what a write would do. */
  readonly write: boolean
  /** Refuses rows whose keys exist, and writes the others. */
  readonly skipRefused: boolean
  readonly onRows: (count: number) => void
}

/** A NetworkGraph has no routes and times: existing ones stay, as with `save()`. */
const SAVE_DERIVED = asWrite(upsert(['started']))

/**
 * Writes the staged rows, in the order of their keys, inside the caller's transaction. Without a session the database counts as
 * empty. Returns whether the caller may commit.
 */
export async function writeStaged(
  session: Session | undefined,
  staging: Staging,
  counts: Counts,
  options: WriteOptions,
): Promise<boolean> {
  let sound = true
  for (const described of options.tables) {
    const table = described.name
    const { existing } = statementsOf(described)
    for (const batch of staging.batches(table)) {
      const keys = batch.map(({ key }) => key)
      const found = new Set((await session?.read(existing, { keys }))?.map(({ key }) => key))
      const rows = batch.filter(({ key }) => isWanted(found.has(key), countsOf(counts, table), options.onConflict))
      if (options.onConflict === 'error' && rows.length < batch.length) {
        for (const { line, key } of batch) if (found.has(key)) refuse(staging, table, line, key)
        sound = options.skipRefused
      }
      if (session !== undefined && options.write && sound) {
        for (const { row, message } of await writeSound(session, described, rows, options)) {
          staging.refuse({ line: row.line, table, key: row.key, column: '', message }, true)
          const of = countsOf(counts, table)
          if (found.has(row.key)) of.replaced--
          else of.added--
          sound = options.skipRefused
        }
      }
      options.onRows(batch.length)
    }
  }
  return sound
}

function isWanted(exists: boolean, counts: TableCounts, onConflict: OnConflict): boolean {
  if (!exists) counts.added++
  else if (onConflict === 'replace') counts.replaced++
  else if (onConflict === 'skip') counts.skipped++
  return !exists || onConflict === 'replace'
}

const refuse = (staging: Staging, table: string, line: number, key: string): void =>
  staging.refuse({ line, table, key, column: '', message: 'is there already' }, true)

/** A row that the database refuses. */
interface Refused {
  readonly row: StagedRow
  readonly message: string
}

/** Writes the rows that the database takes, and returns the others: it looks for them in ever smaller halves. */
async function writeSound(
  session: Session,
  table: Table,
  rows: readonly StagedRow[],
  options: WriteOptions,
): Promise<Refused[]> {
  const { insert, replace } = statementsOf(table)
  const statement = statementFor({ insert, replace }, options)
  const write = async (some: readonly StagedRow[]): Promise<Refused[]> => {
    const error = await refusalOf(() => writeRows(session, table, some, statement))
    const [row] = some
    if (error === undefined || row === undefined) return []
    if (some.length === 1) {
      // An insert leaves out a row without an error if another one has its unique value. A replacement has the error.
      const because = error instanceof NotWritten ? replace : undefined
      const reason = because && (await refusalOf(() => writeRows(session, table, some, because)))
      return because !== undefined && reason === undefined ? [] : [{ row, message: wordsFor(reason ?? error) }]
    }
    const middle = some.length >> 1
    return [...(await write(some.slice(0, middle))), ...(await write(some.slice(middle)))]
  }
  return rows.length === 0 ? [] : write(rows)
}

/** The database took the row's statement, and wrote nothing. */
class NotWritten extends Error {}

const REFUSALS: Readonly<Partial<Record<StorageErrorCode, string>>> = {
  ALREADY_EXISTS: 'has a value that must be unique, and another row has it',
  CONFLICT: 'is refused by a constraint or a trigger of the database',
  VALIDATION: 'has a value that the database cannot hold',
}

type Refusing = NotWritten | StorageError

/** The error if the database refuses a row. Throws every other one. */
async function refusalOf(work: () => Promise<unknown>): Promise<Refusing | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (error instanceof NotWritten) return error
    if (error instanceof StorageError && REFUSALS[error.code] !== undefined) return error
    throw error
  }
}

function wordsFor(error: Refusing): string {
  if (error instanceof NotWritten) return 'is kept out by a trigger of the database'
  const by = propertyOf(error.cause, 'constraint') ?? propertyOf(error.cause, 'code')
  return `${REFUSALS[error.code]}${by === undefined ? '' : ` (${by})`}`
}

/** Writes all of the rows, or none. */
async function writeRows(
  session: Session,
  table: Table,
  rows: readonly StagedRow[],
  statement: TableStatements['insert'],
): Promise<void> {
  const calls = rows.map(({ text }) => ({ statement, parameters: parametersOf(table, JSON.parse(text)) }))
  await session.writeEach(calls, ({ changes }) => {
    if (changes === 0) throw new NotWritten()
  })
}

function statementFor(
  { insert, replace }: Pick<TableStatements, 'insert' | 'replace'>,
  { format, onConflict }: WriteOptions,
) {
  if (onConflict !== 'replace') return insert
  return format === 'netjson' ? SAVE_DERIVED : replace
}
