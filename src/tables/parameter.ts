import { type Column, Placeholder, type SQL } from 'drizzle-orm'
import type { Functions } from '../database/queries.ts'
import { misuse } from '../errors.ts'

/**
 * A parameter while its statement is built. It is no placeholder yet: so Drizzle takes it for a value, and keeps the encoder of the
 * column beside it. When the statement is built, it becomes a placeholder (`Object.setPrototypeOf`).
 */
export class Parameter {
  readonly name: string
  readonly #functions: Functions

  constructor(name: string, functions: Functions) {
    this.name = name
    this.#functions = functions
  }

  /** The column's value is one of the parameter's, which is a list. */
  holds(column: Column): SQL {
    return this.#functions.isOneOf(column, new Placeholder(this.name))
  }

  [Symbol.toPrimitive](): never {
    throw misuse(`The parameter ${this.name} has no value while its statement is built: use it beside a column.`)
  }
}
