/** Inserts of many rows as one statement. SQLite then takes half of the time: most of it goes into beginning a statement. */
import type Sqlite from 'better-sqlite3'
import type { Written } from '../session.ts'
import type { BoundStatement, Compiled } from '../statement.ts'

/** Rows of one statement. More rows gain nothing. */
const ROWS = 50
/** Rows with longer texts gain nothing, and SQLite copies all of them before it begins. */
const MOST_CHARACTERS = 65_536

const NAME = '"(?:[^"]|"")+"'
/** An upsert, or an insert that leaves existing rows alone, without parameters after its values. */
const INSERT = new RegExp(
  `^insert into ${NAME} \\((?<columns>${NAME}(?:, ${NAME})*)\\) values (?<row>\\((?:\\?|null)(?:, (?:\\?|null))*\\))` +
    ` on conflict (?:\\((?:${NAME}\\.)?(?<key>${NAME})\\) )?do [^?]*?(?: returning (?<returned>${NAME}(?:, ${NAME})*))?$`,
)
const NAMES = new RegExp(NAME, 'g')

const INSERTED: Written<never> = Object.freeze({ rows: [], changes: 1 })

/** A statement for `ROWS` rows. */
interface Form {
  readonly driver: Sqlite.Statement<unknown[]>
  /** The key's place among the values of a row, and in a returned row. */
  readonly keyAt: number
  readonly returnedKeyAt: number
}

type Bound = BoundStatement<unknown> | undefined

export class ManyRows {
  readonly #raw: Sqlite.Database
  readonly #forms = new WeakMap<object, { readonly form: Form | undefined }>()

  constructor(raw: Sqlite.Database) {
    this.#raw = raw
  }

  /** The index after the writes that may run as one statement from `from` on; `from` if there are none. */
  endOf(bounds: readonly Bound[], from: number): number {
    const end = from + ROWS
    const compiled = bounds[from]?.compiled
    if (compiled === undefined || bounds[end - 1]?.compiled !== compiled) return from
    for (let at = from; at < end; at++) if (bounds[at]?.compiled !== compiled) return from
    return this.#formOf(compiled) === undefined ? from : end
  }

  /**
   * Writes these rows. `undefined` if the statement has not written each of them, as when a key exists: undo it, and run the
   * writes one by one.
   */
  run(bounds: readonly Bound[], from: number, end: number): readonly Written<unknown>[] | undefined {
    const compiled = bounds[from]?.compiled
    const form = compiled && this.#formOf(compiled)
    const values = form && valuesOf(bounds, from, end)
    if (compiled === undefined || form === undefined || values === undefined) return undefined
    if (compiled.decode === undefined) {
      return form.driver.run(values).changes === end - from ? new Array(end - from).fill(INSERTED) : undefined
    }
    const written: Written<unknown>[] = []
    for (const row of form.driver.all(values) as unknown[][]) {
      // SQLite does not promise the order of returned rows.
      if (row[form.returnedKeyAt] !== bounds[from + written.length]?.values[form.keyAt]) return undefined
      written.push({ rows: [compiled.decode(row)], changes: 1 })
    }
    return written.length === end - from ? written : undefined
  }

  #formOf(compiled: Compiled<never, unknown>): Form | undefined {
    let known = this.#forms.get(compiled)
    if (known === undefined) {
      known = { form: this.#prepared(compiled) }
      this.#forms.set(compiled, known)
    }
    return known.form
  }

  #prepared({ sql, decode, isOnce }: Compiled<never, unknown>): Form | undefined {
    const found = isOnce ? undefined : INSERT.exec(sql)?.groups
    if (found === undefined) return undefined
    const { columns = '', row = '', key = '', returned } = found
    const bound = (columns.match(NAMES) ?? []).filter((_, at) => row.slice(1, -1).split(', ')[at] === '?')
    const [keyAt, returnedKeyAt] = [bound.indexOf(key), returned?.match(NAMES)?.indexOf(key) ?? -1]
    if (decode !== undefined && (keyAt === -1 || returnedKeyAt === -1)) return undefined
    const driver = this.#raw.prepare<unknown[]>(
      sql.replace(` values ${row} `, ` values ${Array(ROWS).fill(row).join(', ')} `),
    )
    if (decode !== undefined) driver.raw()
    return { driver, keyAt, returnedKeyAt }
  }
}

/** `undefined` if their texts are too long. */
function valuesOf(bounds: readonly Bound[], from: number, end: number): unknown[] | undefined {
  const values: unknown[] = []
  let characters = 0
  for (let at = from; at < end; at++) {
    for (const value of bounds[at]?.values ?? []) {
      if (typeof value === 'string') characters += value.length
      values.push(value)
    }
  }
  return characters > MOST_CHARACTERS ? undefined : values
}
