/** What those who start a migration may ask for, and what they are told. */

export interface MigrationOptions {
  /** The clock, for what is noted of a migration: the system's unless said. */
  readonly now?: (() => Date) | undefined
  /**
   * Makes a verified backup before an existing SQLite file is changed. `before`: what is to happen, `adoption` or a tag. If
   * nothing comes of it, the copy is discarded.
   */
  readonly backup?: ((before: string, path: string) => Promise<{ discard(): void } | undefined>) | undefined
  /** Where the rows are written that cannot be kept. Without it they stop an adoption. */
  readonly quarantine?: string | undefined
  readonly onApplied?: ((applied: Applied) => void) | undefined
  readonly onAdopted?: ((report: AdoptionReport) => void) | undefined
}

export const timeOf = ({ now = () => new Date() }: Pick<MigrationOptions, 'now'>): Date => now()

export interface Applied {
  readonly tag: string
  readonly milliseconds: number
}

/** What became of a table's rows. `kept` includes the `normalised`. */
export interface TableReport {
  readonly table: string
  readonly kept: number
  /** NULL in `started` or `routes_discovered` became 0. */
  readonly normalised: number
  /** Cached paths whose ids hold `:` or `%`: their key is ambiguous. */
  readonly dropped: number
  /** Rows that cannot be kept. */
  readonly refused: number
}

export interface RowProblem {
  readonly table: string
  readonly rowid: string
  /** The row's key, if it is a text. */
  readonly key?: string
  readonly column: string
  readonly message: string
}

/** What is remembered of an adoption. */
export interface Adopted {
  readonly at: Date
  readonly tables: readonly TableReport[]
}

export interface AdoptionReport {
  readonly tables: readonly TableReport[]
  /** The first 1,000. */
  readonly problems: readonly RowProblem[]
  /** Indexes of others on the three tables: they were made again. */
  readonly indexes: readonly string[]
}
