/** The repository of an own table: what nodes and policies have, for any table. */
import type { Saved, SchemaTypes, TableRepositories, UpdateOptions } from '../api.ts'
import type { Call, Session, Written } from '../database/session.ts'
import { explainedBy, StorageError } from '../errors.ts'
import { readMany } from '../repositories/many.ts'
import { keyOrder } from '../repositories/order.ts'
import { saveWithOutcome, updateThenInsert, wantsOutcome } from '../repositories/outcome.ts'
import { countRows, iterateRows, readPage } from '../repositories/pages.ts'
import * as rules from '../schema/rules.ts'
import { type Arguments, argumentsOf } from './arguments.ts'
import { type AnyTables, describedBy } from './described.ts'
import { listing } from './listing.ts'
import { IF_MILLISECOND, KEYS, NOW, newValue, type Values } from './statements.ts'

/** Arguments and results have the types that the contract gives them: `Arguments` checks each at the door. */
class SqlTableRepository {
  readonly #session: Session
  readonly #now: () => Date
  readonly #on: Arguments

  constructor(session: Session, now: () => Date, on: Arguments) {
    this.#session = session
    this.#now = now
    this.#on = on
  }

  async create(row: Values): Promise<Values> {
    const complete = this.#on.complete(this.#on.row(row), this.#now())
    const { insert, isThere } = this.#on.statements
    const written = await this.#session.write(insert, complete, { lookup: isThere })
    return this.#created(complete, written)
  }

  async createMany(rows: readonly Values[]): Promise<Values[]> {
    const now = this.#now()
    const { insert, isThere } = this.#on.statements
    const result = (written: Written<never, unknown>, { parameters }: Call<Values, never>): Values =>
      this.#created(parameters, written)
    const { calls, named } = this.#calls(rows, (row) => ({
      statement: insert,
      parameters: this.#on.complete(row, now),
      lookup: isThere,
    }))
    return this.#session.writeEach(calls, result, named)
  }

  #calls<R>(rows: readonly Values[], use: (row: Values) => Call<Values, R>) {
    const { calls, keys } = this.#on.rows(rows, use)
    return { calls, named: { table: this.#on.table.name, keys } }
  }

  get(key: string): Promise<Values | undefined> {
    try {
      return this.#session.readOne(this.#on.statements.byKey, this.#on.byKey(key, 'read'))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async getMany(keys: readonly string[]): Promise<Values[]> {
    const { statements, key } = this.#on
    const asked = rules.checkedIds('keys', keys)
    const callOf = (some: readonly string[]) => ({ statement: statements.byKeys, parameters: { [KEYS]: some } })
    const keyOf = (row: Values): string => String(row[key])
    const found = await readMany(this.#session, callOf, { keys: asked, keyOf, isLarge: true })
    return asked.map((each) => found.get(each)).filter((row) => row !== undefined)
  }

  async list(options: Values = {}): Promise<Values[]> {
    const { after, limit, ...selected } = this.#on.page(options)
    return readPage(this.#session, listing(this.#on, selected), { after: this.#on.place(selected.order, after), limit })
  }

  iterate(options: Values = {}): AsyncGenerator<Values, void, undefined> {
    return iterateRows(this.#session, () => listing(this.#on, this.#on.selection(options)))
  }

  async update(key: string, patch: Values, options: UpdateOptions = {}): Promise<Values> {
    const { statements, hasUpdatedAt } = this.#on
    const named = this.#on.byKey(key)
    const ifMillisecond = this.#on.expected(options)
    const changes = this.#on.patch(patch)
    const set = Object.keys(changes).sort()
    // An UPDATE must set something.
    if (set.length === 0 && !hasUpdatedAt) return (await this.get(key)) ?? this.#missing(key)
    const statement = statements.update(ifMillisecond === undefined ? set : [...set, IF_MILLISECOND])
    const parameters = { ...changes, ...named, [NOW]: this.#now(), [IF_MILLISECOND]: ifMillisecond }
    const written = await this.#session
      .write(statement, parameters, { lookup: statements.byKey })
      .catch(explainedBy(() => this.get(key)))
    const [row] = written.rows
    if (row !== undefined) return row
    const current = written.found?.[0] ?? this.#missing(key)
    if (ifMillisecond !== undefined && timeOf(current) !== ifMillisecond) throw this.#changed(key)
    return this.#unsaved()
  }

  async updateMany(where: Values, patch: Values): Promise<number> {
    const filter = this.#on.needed(where)
    const changes = this.#on.patch(patch)
    const set = Object.fromEntries(
      Object.keys(changes)
        .sort()
        .map((name) => [newValue(name), changes[name]]),
    )
    if (Object.keys(set).length === 0 && !this.#on.hasUpdatedAt) return this.count(where)
    const statement = this.#on.statements.updateWhere([...Object.keys(filter), ...Object.keys(set)])
    return (await this.#session.write(statement, { ...filter, ...set, [NOW]: this.#now() })).changes
  }

  async save(row: Values, options: { readonly outcome?: boolean } = {}): Promise<Values | Saved<Values>> {
    if (wantsOutcome(options)) return this.#saveWithOutcome(this.#on.row(row))
    const { statement, parameters } = this.#on.saving(this.#on.row(row), this.#now())
    const written = await this.#session
      .write(statement, parameters)
      .catch(explainedBy(() => this.get(String(parameters[this.#on.key]))))
    return this.#saved(written)
  }

  async #saveWithOutcome(row: Values): Promise<Saved<Values>> {
    const { statements, table, key } = this.#on
    const now = this.#now()
    const { set, parameters } = this.#on.saving(row, now)
    const update = { statement: statements.update(set), parameters: { ...parameters, [NOW]: now } }
    const calls = updateThenInsert(update, { statement: statements.insert, parameters })
    const keys = [String(parameters[key])]
    const outcome = await saveWithOutcome(this.#session, calls, { table: table.name, keys }).catch(
      explainedBy(() => this.get(keys[0] ?? '')),
    )
    return outcome ?? this.#unsaved()
  }

  async saveMany(rows: readonly Values[]): Promise<Values[]> {
    const now = this.#now()
    const { calls, named } = this.#calls(rows, (row) => this.#on.saving(row, now))
    return this.#session.writeEach(calls, (written) => this.#saved(written), named)
  }

  async delete(key: string, options: UpdateOptions = {}): Promise<boolean> {
    const { statements } = this.#on
    const named = this.#on.byKey(key)
    const ifMillisecond = this.#on.expected(options)
    if (ifMillisecond === undefined) return (await this.#session.write(statements.remove([]), named)).changes > 0
    const parameters = { ...named, [IF_MILLISECOND]: ifMillisecond }
    const written = await this.#session.write(statements.remove([IF_MILLISECOND]), parameters, {
      lookup: statements.byKey,
    })
    if (written.changes > 0) return true
    const current = written.found?.[0]
    if (current !== undefined && timeOf(current) !== ifMillisecond) throw this.#changed(key)
    return false
  }

  async deleteMany(where: Values): Promise<number> {
    const filter = this.#on.needed(where)
    return (await this.#session.write(this.#on.statements.removeWhere(Object.keys(filter)), filter)).changes
  }

  async count(where: Values = {}): Promise<number> {
    const filter = this.#on.filter(where, 'read')
    return countRows(this.#session, listing(this.#on, { filter, order: keyOrder(this.#on.key) }))
  }

  #created(row: Values, { changes, found }: Omit<Written<never, unknown>, 'rows'>): Values {
    const { table, key } = this.#on
    if (changes > 0) return { ...row }
    if (found?.length === 0) return this.#unsaved(row[key])
    throw new StorageError(
      'ALREADY_EXISTS',
      `${table.name} has a row ${JSON.stringify(row[key])} already. Nothing was written. Use save() to replace it.`,
    )
  }

  #saved({ rows: [row] }: Pick<Written<Values>, 'rows'>): Values {
    return row ?? this.#unsaved()
  }

  #unsaved(key?: unknown): never {
    const { name } = this.#on.table
    const row = key === undefined ? 'row' : `row ${JSON.stringify(key)}`
    throw new StorageError(
      'CONFLICT',
      `A trigger in the database kept the ${row} of ${name} from being saved. Nothing was written. Drop the trigger, or change the value.`,
    )
  }

  #changed(key: string): StorageError {
    const { name } = this.#on.table
    return new StorageError(
      'CONFLICT',
      `The row ${JSON.stringify(key)} of ${name} has changed since it was read. Nothing was written. Read it again.`,
    )
  }

  #missing(key: string): never {
    throw new StorageError(
      'NOT_FOUND',
      `${this.#on.table.name} has no row ${JSON.stringify(key)}. Nothing was written. Use save() to add it.`,
    )
  }
}

const timeOf = ({ updatedAt }: Values): number => (updatedAt as Date).getTime()

/** The tables' repositories on a session. Each is made when it is first used: a transaction that uses none costs nothing. */
export function repositoriesOf(tables: AnyTables, session: Session, now: () => Date): TableRepositories<SchemaTypes> {
  const repositories = {}
  for (const [name, table] of Object.entries(tables)) {
    let made: SqlTableRepository | undefined
    const get = (): SqlTableRepository => {
      made ??= new SqlTableRepository(session, now, argumentsOf(describedBy(table)))
      return made
    }
    Object.defineProperty(repositories, name, { enumerable: true, get })
  }
  return repositories as TableRepositories<SchemaTypes>
}
