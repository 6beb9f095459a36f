import type { Database, Session } from '../database/session.ts'
import { isSqliteFailure } from '../database/sqlite/errors.ts'
import { StorageError } from '../errors.ts'
import { MAX_TIMER_MS } from '../schema/rules.ts'
import { type Counts, noCounts } from './counts.ts'
import { type FileFormat, stage } from './stage.ts'
import { type OnConflict, type Refusal, Staging } from './staging.ts'
import { writeStaged } from './write.ts'

export interface ImportOptions {
  readonly onConflict: OnConflict
  /** Import what is not refused. */
  readonly skipRefused: boolean
  /** Only say what would become of the lines. */
  readonly dryRun: boolean
  /** How long to wait for others' locks, in milliseconds. */
  readonly busyTimeoutMs: number
  readonly now: () => Date
  /** Each that was refused, in the order of the lines, when all are known; also where something else fails. */
  readonly onRefused: (refusal: Refusal) => void
  readonly onRows?: ((progress: { done: number; total: number }) => void) | undefined
}

export interface ImportReport {
  readonly format: FileFormat
  readonly dryRun: boolean
  /** Whether anything was, or with `dryRun` would be, written. */
  readonly imported: boolean
  /** Number of rows by outcome; with `dryRun`, by the outcome that an import would have. */
  readonly rows: Counts
  /** Lines, or elements of a document's lists. */
  readonly refused: number
}

/** `undefined`: there is no database yet, or nothing in it. */
export type Open = (how: { readonly readOnly: boolean }) => Promise<Database | undefined>

/** How often it is run again when others are in the way. */
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
  options: ImportOptions,
): Promise<ImportReport> {
  using staging = new Staging()
  const { onConflict, skipRefused, dryRun, busyTimeoutMs, onRefused } = options
  try {
    const inFile = noCounts()
    const format = await stage(file, staging, inFile, { onConflict, now: options.now() })
    const write = !dryRun && (skipRefused || staging.refusedLines === 0)
    let rows = inFile
    const sound = await inTransaction(open, { write, busyTimeoutMs }, async (session) => {
      // It may be run again from its beginning.
      staging.forgetLate()
      rows = structuredClone(inFile)
      return writeStaged(session, staging, rows, {
        format,
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

/** The database's own errors have been translated: what is still one of the driver's is the temporary file's. */
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
