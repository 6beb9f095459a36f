/** Output of a command: the result on stdout, as text or as one JSON document; errors and progress on stderr. */

import { SingleBar } from 'cli-progress'
import type { BackupManifest } from '../api.ts'
import { type CommandCode, docsOf, isError, StorageError } from '../errors.ts'
import { performance } from '../event-loop.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import { beforeSignal, Interrupted } from './interrupt.ts'

export interface Outcome {
  /** Printed with `--json`. */
  readonly json: object
  /** Lines for people. */
  readonly text: readonly string[]
  /** Default: 0. */
  readonly exitCode?: number
}

/**
 * Runs a command's work, prints its outcome or its error, and sets the exit code. Never throws. `soFar` describes partial work
 * after a failure.
 */
export async function report(
  options: { json?: boolean | undefined },
  work: () => Promise<Outcome>,
  soFar: () => Outcome = () => ({ json: {}, text: [] }),
): Promise<void> {
  try {
    const { json, text, exitCode = EXIT.done } = await work()
    if (options.json) printJson(json)
    else printLines(text)
    process.exitCode = exitCode
  } catch (error) {
    const { json, text } = soFar()
    if (options.json) printJson({ ...json, error: described(error) })
    else printLines(text)
    printError(described(error))
    process.exitCode = exitCodeFor(error)
  }
}

function exitCodeFor(error: unknown): number {
  if (error instanceof Interrupted) return error.exitCode
  return error instanceof StorageError ? exitCodeOf(error.code) : EXIT.failed
}

export const printJson = (json: object): void => print(`${JSON.stringify(json, null, 2)}\n`)
const printLines = (lines: readonly string[]): void => print(lines.map((line) => `${line}\n`).join(''))

const INCOMPLETE =
  'The output could not be written, and is not complete. Check the disk or the reader, then run the command again.'

function print(text: string): void {
  process.stdout.write(text, (error) => {
    // EPIPE: the reader closed the pipe early, which is no failure. Any other error leaves an incomplete report.
    if (!error || ('code' in error && error.code === 'EPIPE')) return
    process.exitCode = EXIT.failed
    const code = 'code' in error ? String(error.code) : 'INTERNAL'
    printError({ code, message: INCOMPLETE, docs: docsOf('INTERNAL') })
  })
}

export interface Described {
  readonly code: string
  readonly message: string
  readonly docs: string
  readonly retryable: boolean
  readonly issues?: StorageError['issues']
}

function described(error: unknown): Described {
  if (error instanceof StorageError) {
    const { code, message, docs, retryable, issues } = error
    return { code, message, docs, retryable, ...(issues.length > 0 && { issues }) }
  }
  // Only the library's own messages are known to contain no values.
  const docs = docsOf(error instanceof Interrupted ? 'INTERRUPTED' : 'INTERNAL')
  if (isError(error) && 'code' in error)
    return { code: String(error.code), message: error.message, docs, retryable: false }
  const message = `${isError(error) ? error.message : 'Unknown error'}. ${INTERNAL}`.replace('..', '.')
  return { code: 'INTERNAL' satisfies CommandCode, message, docs, retryable: false }
}

const INTERNAL = 'This is a mistake in Meshstore. Run meshstore check to see how the data is, then report the mistake.'

/** The one line of an error on stderr. */
export const printError = ({ code, message, docs }: Pick<Described, 'code' | 'message' | 'docs'>): void => {
  process.stderr.write(`${code}: ${message} See ${docs}\n`)
}

/** `using` stops it. */
interface Bar extends Disposable {
  update(done: number, total: number): void
  stop(): void
}
const NO_BAR = { update: () => {}, stop: () => {}, [Symbol.dispose]: () => {} }

/** Shows a progress bar on stderr if that is a terminal. With a `unit` it shows the rate per second. */
export function progressBar(what: string, unit?: string): Bar {
  if (!process.stderr.isTTY) return NO_BAR
  const bar = new SingleBar({
    format: `${what} {bar} {percentage}%${unit === undefined ? '' : ` | {rate} ${unit}/s | {eta_formatted} left`}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    // The library's own handler of Ctrl+C would remove the bar and let the work go on.
    gracefulExit: false,
    barsize: 30,
  })
  let started = false
  let interrupted = false
  let offSignal = (): void => {}
  let begun = 0
  let first = 0
  const stop = (): void => {
    offSignal()
    if (started && !interrupted) bar.stop()
  }
  return {
    update: (done, total) => {
      if (interrupted) return
      if (!started) {
        offSignal = beforeSignal(() => {
          interrupted = true
          bar.stop()
        })
        bar.start(total, done, { rate: '-' })
        begun = performance.now()
        first = done
      }
      started = true
      const elapsed = (performance.now() - begun) / 1_000
      bar.update(done, { rate: elapsed > 0.2 ? count(Math.round((done - first) / elapsed)) : '-' })
    },
    stop,
    [Symbol.dispose]: stop,
  }
}

/** A progress bar for each step of a work. Showing another step ends the one before. */
export function progressBars<Step extends string>(
  titles: Readonly<Record<Step, readonly [what: string, unit?: string]>>,
): Disposable & { show(progress: { step: Step; done: number; total: number }): void; stop(): void } {
  let current: { step: Step; bar: Bar } | undefined
  const stop = (): void => {
    current?.bar.stop()
    current = undefined
  }
  return {
    show: ({ step, done, total }) => {
      if (current?.step !== step) {
        current?.bar.stop()
        const [what, unit] = titles[step]
        current = { step, bar: progressBar(what, unit) }
      }
      current.bar.update(done, total)
    },
    stop,
    [Symbol.dispose]: stop,
  }
}

/** Shows a count without a total on stderr if that is a terminal. */
export function counter(what: string, unit: string): Disposable & { update(done: number): void; stop(): void } {
  if (!process.stderr.isTTY) return NO_BAR
  let shown = false
  const stop = (): void => {
    if (shown) process.stderr.write('\r\u001b[K')
    shown = false
  }
  return {
    update: (done) => {
      process.stderr.write(`\r${what} ${count(done)} ${unit}\u001b[K`)
      shown = true
    },
    stop,
    [Symbol.dispose]: stop,
  }
}

/** `1,234` in each locale. */
export const count = (value: number): string => value.toLocaleString('en-US')
/** `1 line`, `2 lines`. */
export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`
type Rows = Readonly<Record<string, { readonly rows: number } | undefined>>
/** `5,000 nodes, 1 policy, 20 cached paths`, for the given tables. */
export const rowsText = (tables: Rows, ownTables: Rows = {}): string =>
  [...Object.entries(tables), ...Object.entries(ownTables)]
    .flatMap(([table, found]) =>
      found === undefined ? [] : [counted(found.rows, ...(NAMES[table] ?? [`row of ${table}`, `rows of ${table}`]))],
    )
    .join(', ')

const NAMES: Readonly<Record<string, [one: string, many?: string]>> = {
  nodes: ['node'],
  policies: ['policy', 'policies'],
  pathCache: ['cached path'],
  path_cache: ['cached path'],
}
export const seconds = (milliseconds: number): string =>
  milliseconds < 1_000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`

/** Replaces control characters: foreign names and paths must not move a terminal's cursor. */
export const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '\ufffd')

/** Shows the progress of work that counts pages. */
export async function withPageBar<T>(
  what: string,
  work: (onProgress: (progress: { copiedPages: number; totalPages: number }) => void) => Promise<T>,
): Promise<T> {
  using bar = progressBar(what)
  return await work(({ copiedPages, totalPages }) => bar.update(copiedPages, totalPages))
}

/** One backup in a few words. */
export function backupText({ bytes, schemaVersion, tables, ownTables }: BackupManifest): string {
  return `${rowsText(tables, ownTables)}; ${count(bytes)} bytes; schema ${schemaVersion}`
}

/** Most refused lines or rows in the JSON document. stderr gets all of them. */
export const SHOWN = 1_000
