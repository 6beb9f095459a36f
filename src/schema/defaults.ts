/**
 * Defaults of columns, as they are stored. drizzle-kit would write a Date as a text, after which no older row could be read, and an object
 * as `[object Object]`. drizzle-kit 1.0 would write a text without quotes.
 */
import { type Column, is, SQL, sql } from 'drizzle-orm'

/** On the SQL of a default. An application may load this package twice, as ESM and as CommonJS. */
const VALUE = Symbol.for('meshstore.default')

type WithValue = SQL & { readonly [VALUE]?: unknown }

interface Builder {
  default(value: unknown): unknown
}

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** A column type whose defaults are SQL, with the value beside it. `literal` writes a value as it is stored. */
export function withDefaults<M extends (...given: never[]) => object>(make: M, literal: (value: never) => string): M {
  const inSql = (value: unknown): unknown => {
    try {
      return Object.defineProperty(sql.raw(literal(value as never)), VALUE, { value })
    } catch {
      // A value of another type, which table() refuses with the column's name.
      return value
    }
  }
  const made = (...given: never[]): object => {
    const builder = make(...given) as Builder
    const setDefault = builder.default.bind(builder)
    builder.default = (value) => setDefault(value === undefined || is(value, SQL) ? value : inSql(value))
    return builder
  }
  // It takes and returns what `make` does.
  return made as M
}

/** The value of a column's default, or SQL that is no value. */
export function defaultIn({ default: given }: Column): unknown {
  return is(given, SQL) && VALUE in given ? (given as WithValue)[VALUE] : given
}
