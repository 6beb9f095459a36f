/** Options and reports of a migration. */
import { machineTime } from '../event-loop.ts'

export interface MigrationOptions {
  /** The clock of the ledger's notes. Default: the system's. */
  readonly now?: (() => Date) | undefined
  /**
   * Makes a verified backup before an existing SQLite file is changed. `before`: `adoption`, or the migration's tag. The
   * migrator discards the copy if the change fails.
   */
  readonly backup?: ((before: string, path: string) => Promise<{ discard(): void } | undefined>) | undefined
  /** The dead-letter file for rows that cannot be kept. Without this option such rows stop an adoption. */
  readonly quarantine?: string | undefined
  readonly onApplied?: ((applied: Applied) => void) | undefined
  readonly onAdopted?: ((report: AdoptionReport) => void) | undefined
}

export const timeOf = ({ now = machineTime }: Pick<MigrationOptions, 'now'>): Date => now()

export interface Applied {
  readonly tag: string
  readonly milliseconds: number
}

/** Counts of an adopted table's rows. `kept` includes `normalised`. */
export interface TableReport {
  readonly table: string
  readonly kept: number
  /** Rows in which NULL in `started` or `routes_discovered` became 0. */
  readonly normalised: number
  /** Cached paths whose ids hold `:` or `%`: their key is ambiguous. */
  readonly dropped: number
  /** Rows that cannot be kept. */
  readonly refused: number
}

export interface RowProblem {
  readonly table: string
  readonly rowid: string
  /** The row's key, if the key is text. */
  readonly key?: string
  readonly column: string
  readonly message: string
}

/** The saved report of an adoption. */
export interface Adopted {
  readonly at: Date
  readonly tables: readonly TableReport[]
}

export interface AdoptionReport {
  readonly tables: readonly TableReport[]
  /** The first 1,000. */
  readonly problems: readonly RowProblem[]
  /** Other programs' indexes on the three tables. They were recreated. */
  readonly indexes: readonly string[]
}
