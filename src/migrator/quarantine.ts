/** Rows that cannot be kept, written out as NDJSON: a line for each, with the table, the reasons and every value. */
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { StorageError } from '../errors.ts'
import { BrokenText, type Cell, type Problem, type TableRow } from './adoption-rows.ts'

export class Quarantine {
  readonly file: string
  readonly #partial: string
  #handle: number | undefined

  constructor(file: string) {
    this.file = resolve(file)
    this.#partial = `${this.file}.partial-${randomBytes(6).toString('hex')}`
  }

  add(table: string, { rowid, row }: TableRow, problems: readonly Problem[]): void {
    const values = Object.fromEntries(Object.entries(row).map(([column, cell]) => [column, written(cell)]))
    const line = JSON.stringify({ table, rowid: written(rowid), problems, values })
    try {
      this.#handle ??= openSync(this.#partial, 'wx', 0o600)
      writeSync(this.#handle, `${line}\n`)
    } catch (error) {
      throw new StorageError('CONFIG', `${this.file} cannot be written.`, { cause: error })
    }
  }

  /**
   * Gives the file its name, on disk. One that is there is left as it is, and will do if it says the same: a run was
   * killed after it had written it. Throws CONFIG if it says something else.
   */
  publish(): void {
    if (this.#handle === undefined) return
    fsyncSync(this.#handle)
    closeSync(this.#handle)
    this.#handle = undefined
    try {
      linkSync(this.#partial, this.file)
      syncFolder(dirname(this.file))
    } catch (error) {
      if (!existsSync(this.file)) throw new StorageError('CONFIG', `${this.file} cannot be created.`, { cause: error })
      if (!readFileSync(this.file).equals(readFileSync(this.#partial)))
        throw new StorageError('CONFIG', `There is a file at ${this.file} already, and nothing is ever replaced.`)
    } finally {
      this.discard()
    }
  }

  discard(): void {
    if (this.#handle !== undefined) closeSync(this.#handle)
    this.#handle = undefined
    rmSync(this.#partial, { force: true })
  }
}

/** So that each value can be put back as it was: an object where JSON has nothing that is the same. */
function written(cell: Cell): unknown {
  if (cell instanceof BrokenText) return { text: cell.bytes.toString('base64') }
  if (Buffer.isBuffer(cell)) return { blob: cell.toString('base64') }
  if (typeof cell === 'bigint') return Number.isSafeInteger(Number(cell)) ? Number(cell) : { integer: String(cell) }
  if (typeof cell === 'number' && (!Number.isFinite(cell) || Object.is(cell, -0)))
    return { real: Object.is(cell, -0) ? '-0' : String(cell) }
  return cell
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
