import { machineTime } from '../event-loop.ts'

export interface CheckOptions {
  /** Skips the checks that read all data. */
  readonly quick?: boolean | undefined
  /** How long to wait for another process's lock, in milliseconds. */
  readonly busyTimeoutMs?: number | undefined
  readonly now?: (() => Date) | undefined
  /** Called with the number of checked rows. */
  readonly onProgress?: ((progress: { done: number; total: number }) => void) | undefined
  /** A write-ahead log of this size is worth a warning: 64 MiB by default. */
  readonly walBytes?: number | undefined
}

/** The options with their defaults. */
export interface Settings {
  readonly quick: boolean
  readonly busyTimeoutMs: number
  readonly now: () => Date
  readonly onProgress: CheckOptions['onProgress']
  readonly walBytes: number
}

export const settingsOf = (options: CheckOptions): Settings => ({
  quick: options.quick ?? false,
  // The command line accepts fractions of seconds.
  busyTimeoutMs: Math.ceil(options.busyTimeoutMs ?? 5_000),
  now: options.now ?? machineTime,
  onProgress: options.onProgress,
  walBytes: options.walBytes ?? 67_108_864,
})
