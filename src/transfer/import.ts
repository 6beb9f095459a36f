import type { Database, Session } from '../database/session.ts'
import { isSqliteFailure } from '../database/sqlite/errors.ts'
import { StorageError } from '../errors.ts'
import { MAX_TIMER_MS } from '../schema/rules.ts'
import type { Table } from '../schema/tables.ts'
import { type Counts, noCounts } from './counts.ts'
import { type FileFormat, stage } from './stage.ts'
import { type OnConflict, type Refusal, Staging } from './staging.ts'
import { writeStaged } from './write.ts'

export interface ImportOptions {
  readonly onConflict: OnConflict
  /** Imports the other lines if some are refused. */
  readonly skipRefused: boolean
  /** Reports what an import would do, and writes nothing. */
  readonly dryRun: boolean
  /** How long to wait for other programs' locks, in milliseconds. */
  readonly busyTimeoutMs: number
  readonly now: () => Date
  /** Called with each refusal, in the order of the lines, after the whole file was read; also if the import then fails. */
  readonly onRefused: (refusal: Refusal) => void
  readonly onRows?: ((progress: { done: number; total: number }) => void) | undefined
}

export interface ImportReport {
  readonly format: FileFormat
  readonly dryRun: boolean
  /** Whether the import wrote rows; with `dryRun`, whether it would. */
  readonly imported: boolean
  /** Number of rows by outcome; with `dryRun`, by the expected outcome. */
  readonly rows: Counts
  /** Refused lines, or refused elements of a document's lists. */
  readonly refused: number
}

/** Opens the database; `undefined` if there is none yet, or it has no tables. */
export type Open = (how: { readonly readOnly: boolean }) => Promise<Database | undefined>

/** Least number of attempts after serialization failures. */
const ATTEMPTS = 10
/** How long an attempt waits for a locked row, and the pause before the next attempt, in milliseconds. */
const ATTEMPT_MS = 60

/** Undoes the transaction: lines were refused. */
class NotSound extends Error {}

/**
 * Reads and validates the whole file, then writes it in one transaction. If a line is refused, nothing is written, unless
 * `skipRefused` is set: then the other lines are written.
 */
export async function importFrom(
  file: AsyncIterable<Buffer>,
  open: Open,
  options: ImportOptions & { readonly tables: readonly Table[] },
): Promise<ImportReport> {
  const { tables } = options
  using staging = new Staging(tables)
  const { onConflict, skipRefused, dryRun, busyTimeoutMs, onRefused } = options
  try {
    const inFile = noCounts(tables)
    const format = await stage(file, staging, inFile, { onConflict, now: options.now(), tables })
    const write = !dryRun && (skipRefused || staging.refusedLines === 0)
    let rows = inFile
    const sound = await inTransaction(open, { write, busyTimeoutMs }, async (session) => {
      // The transaction may be retried from its beginning.
      staging.forgetLate()
      rows = structuredClone(inFile)
      return writeStaged(session, staging, rows, {
        format,
        tables,
        onConflict,
        write,
        skipRefused,
        onRows: rowsOver(staging, options),
      })
    })
    const refused = staging.refusedLines
    return { format, dryRun, imported: sound && (refused === 0 || skipRefused), rows, refused }
  } catch (error) {
    throw ofStaging(error)
  } finally {
    for (const refusal of staging.refusals()) onRefused(refusal)
  }
}

/** Translates an error of the staging area's temporary file: errors of the database itself are already translated. */
function ofStaging(error: unknown): unknown {
  if (!isSqliteFailure(error)) return error
  const message = `The temporary file of the import cannot be written (${error.code}). Nothing was imported. Make room, or set TMPDIR to another folder.`
  return new StorageError(error.code.startsWith('SQLITE_FULL') ? 'STORAGE_FULL' : 'UNAVAILABLE', message, {
    cause: error,
  })
}

function rowsOver(staging: Staging, { onRows }: ImportOptions): (count: number) => void {
  if (onRows === undefined) return () => {}
  const total = staging.size
  let done = 0
  return (count) => {
    done += count
    onRows({ done, total })
  }
}

async function inTransaction(
  open: Open,
  { write, busyTimeoutMs }: { write: boolean; busyTimeoutMs: number },
  work: (session: Session | undefined) => Promise<boolean>,
): Promise<boolean> {
  const database = await open({ readOnly: !write })
  if (database === undefined) return work(undefined)
  try {
    const attempts = Math.max(ATTEMPTS, Math.ceil(busyTimeoutMs / ATTEMPT_MS))
    const limits = { readOnly: !write, timeoutMs: MAX_TIMER_MS, attempts }
    return await database.transaction(async (session) => {
      const sound = await work(session)
      if (write && !sound) throw new NotSound()
      return sound
    }, limits)
  } catch (error) {
    if (error instanceof NotSound) return false
    throw error
  } finally {
    await database.close()
  }
}
