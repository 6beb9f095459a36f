/** Dead-letter file of an adoption: NDJSON with one line for each refused row: table, reasons and all values. */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { sync } from '../database/sqlite/sync.ts'
import { StorageError } from '../errors.ts'
import { translatedFile, unusable } from '../files/file-errors.ts'
import { realPath } from '../files/path-rules.ts'
import { BrokenText, type Cell, type Problem, type StoredRow } from '../schema/cells.ts'

export class Quarantine {
  readonly file: string
  readonly #partial: string
  #handle: number | undefined

  /** Throws CONFIG if the file's path is that of a database, or of a file that SQLite keeps beside a database. */
  constructor(file: string, ...databases: readonly string[]) {
    this.file = resolve(file)
    const real = realPath(this.file)
    const names = databases.flatMap((path) => ['', '-wal', '-shm', '-journal'].map((end) => realPath(path) + end))
    // Closing any handle on a database would drop SQLite's locks on it.
    if (names.includes(real))
      throw new StorageError(
        'CONFIG',
        'The quarantine file must not be the database. Nothing was changed. Name another file.',
      )
    if (existsSync(real) && !statSync(real).isFile())
      throw new StorageError('CONFIG', `${this.file} is no regular file. Nothing was changed. Name another file.`)
    this.#partial = `${this.file}.partial-${randomBytes(6).toString('hex')}`
  }

  add(table: string, { rowid, row }: StoredRow, problems: readonly Problem[]): void {
    const values = Object.fromEntries(Object.entries(row).map(([column, cell]) => [column, written(cell)]))
    const line = JSON.stringify({ table, rowid: rowid === undefined ? undefined : written(rowid), problems, values })
    try {
      this.#handle ??= openSync(this.#partial, 'wx', 0o600)
      // writeFileSync, since writeSync() may write only a part.
      writeFileSync(this.#handle, `${line}\n`)
    } catch (error) {
      throw unusable(
        `${this.file} cannot be written. Nothing was changed. Check its owner and mode, or name another file.`,
        error,
      )
    }
  }

  /**
   * Syncs the file and gives it its name. An existing file with the same content is accepted: a killed run wrote it.
   * Throws CONFIG if an existing file has other content.
   */
  publish(): void {
    if (this.#handle === undefined) return
    this.#finish(this.#handle)
    try {
      this.#link()
      sync(dirname(this.file))
    } catch (error) {
      throw translatedFile(error)
    } finally {
      this.discard()
    }
  }

  #link(): void {
    try {
      linkSync(this.#partial, this.file)
    } catch (error) {
      if (!existsSync(this.file))
        throw unusable(
          `${this.file} cannot be created. Nothing was changed. Check its folder, or name another file.`,
          error,
        )
      this.#assertSame()
    }
  }

  /** Dry run of `publish()`: throws the same errors and leaves no file. */
  rehearse(): void {
    if (this.#handle === undefined) return
    this.#finish(this.#handle)
    try {
      if (existsSync(this.file)) this.#assertSame()
    } finally {
      this.discard()
    }
  }

  #finish(handle: number): void {
    this.#handle = undefined
    try {
      fsyncSync(handle)
    } catch (error) {
      throw translatedFile(error)
    } finally {
      closeSync(handle)
    }
  }

  #assertSame(): void {
    if (readFileSync(this.file).equals(readFileSync(this.#partial))) return
    throw new StorageError(
      'CONFIG',
      `There is a file at ${this.file} already. Nothing was changed. Name another file, or remove that one.`,
    )
  }

  discard(): void {
    if (this.#handle !== undefined) closeSync(this.#handle)
    this.#handle = undefined
    try {
      rmSync(this.#partial, { force: true })
    } catch {
      // The file was never created.
    }
  }
}

/** A lossless JSON form of a value: an object where JSON has no equal value. */
function written(cell: Cell): unknown {
  if (cell instanceof BrokenText) return { text: cell.bytes.toString('base64') }
  if (Buffer.isBuffer(cell)) return { blob: cell.toString('base64') }
  if (typeof cell === 'bigint') return Number.isSafeInteger(Number(cell)) ? Number(cell) : { integer: String(cell) }
  if (typeof cell === 'number' && !isPlain(cell)) return { real: Object.is(cell, -0) ? '-0' : String(cell) }
  return cell
}

/** A number with a decimal point: other languages would read a large number without one as an integer. */
const isPlain = (real: number): boolean =>
  Number.isFinite(real) && !Object.is(real, -0) && (!Number.isInteger(real) || Number.isSafeInteger(real))
