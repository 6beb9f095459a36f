export interface CheckOptions {
  /** Leaves out what reads all of the data. */
  readonly quick?: boolean | undefined
  /** How long to wait for another process's lock, in milliseconds. */
  readonly busyTimeoutMs?: number | undefined
  readonly now?: (() => Date) | undefined
  /** Rows that have been looked at. */
  readonly onProgress?: ((progress: { done: number; total: number }) => void) | undefined
  readonly limits?: Partial<Limits> | undefined
}

/** From where on something is worth a word. */
export interface Limits {
  readonly walBytes: number
  readonly expiredPaths: number
  /** Unused bytes of a file, if they are more than half of it. */
  readonly unusedBytes: number
  readonly backupAgeDays: number
  readonly deadRows: number
  readonly longTransactionSeconds: number
  /** Of two thousand million. */
  readonly transactionIds: number
}

export const LIMITS: Limits = {
  walBytes: 67_108_864,
  expiredPaths: 10_000,
  unusedBytes: 1_048_576,
  backupAgeDays: 7,
  deadRows: 10_000,
  longTransactionSeconds: 600,
  transactionIds: 1_000_000_000,
}

/** The options with what was not given. */
export interface Settings {
  readonly quick: boolean
  readonly busyTimeoutMs: number
  readonly now: () => Date
  readonly onProgress: CheckOptions['onProgress']
  readonly limits: Limits
}

export const settingsOf = (options: CheckOptions): Settings => ({
  quick: options.quick ?? false,
  // Seconds of a command line may be any fraction.
  busyTimeoutMs: Math.ceil(options.busyTimeoutMs ?? 5_000),
  now: options.now ?? (() => new Date()),
  onProgress: options.onProgress,
  limits: { ...LIMITS, ...options.limits },
})
