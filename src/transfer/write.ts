import type { Session } from '../database/session.ts'
import { StorageError } from '../errors.ts'
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
      if (session !== undefined && options.write && sound) await writeRows(session, described, rows, options)
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

async function writeRows(
  session: Session,
  table: Table,
  rows: readonly StagedRow[],
  options: WriteOptions,
): Promise<void> {
  const statement = statementFor(statementsOf(table), options)
  const calls = rows.map(({ text }) => ({ statement, parameters: parametersOf(table, JSON.parse(text)) }))
  await session.writeEach(calls, ({ changes }) => {
    if (changes > 0) return
    throw new StorageError(
      'CONFLICT',
      `A trigger in the database kept a row of ${table.name} from being imported. Nothing was imported. Drop the trigger, or correct the row.`,
    )
  })
}

function statementFor({ insert, replace }: TableStatements, { format, onConflict }: WriteOptions) {
  if (onConflict !== 'replace') return insert
  return format === 'netjson' ? SAVE_DERIVED : replace
}
