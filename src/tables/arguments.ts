/** The arguments of an own table's repository, checked and copied before anything is awaited. */
import type { UpdateOptions } from '../api.ts'
import type { Call } from '../database/session.ts'
import { type Access, validationError } from '../errors.ts'
import { type Checked, checkedRows } from '../repositories/checked.ts'
import type { Order, Place } from '../repositories/order.ts'
import { kindOf } from '../schema/kinds.ts'
import * as rules from '../schema/rules.ts'
import type { Column } from '../schema/tables.ts'
import type { Described } from './described.ts'
import { isNull, isOneOf, statementsOf, type TableStatements, type Values } from './statements.ts'

const UPDATE_RULES: rules.Rules = { ifUpdatedAt: rules.isTime }
const SELECTION_RULES: rules.Rules = {
  where: () => undefined,
  prefix: rules.isId,
  orderBy: (value) => (typeof value === 'string' ? undefined : "must be a column's name"),
  descending: rules.isFlag,
}
const PAGE_RULES: rules.Rules = { ...SELECTION_RULES, limit: rules.isLimit, after: () => undefined }

/** Parameters by the names of their conditions, and the order. */
export interface Selected {
  readonly order: Order
  readonly filter: Values
}

/** Checks the arguments for one table. All sessions share it. */
export class Arguments {
  readonly table: Described
  readonly key: string
  readonly hasUpdatedAt: boolean
  readonly statements: TableStatements
  readonly #rules: rules.Rules
  readonly #required: readonly string[]
  readonly #patchRules: rules.Rules
  readonly #filterRules: rules.Rules
  readonly #times: readonly string[]
  readonly #jsons: readonly string[]

  constructor(table: Described) {
    this.table = table
    this.key = table.key.property
    this.statements = statementsOf(table)
    const ruleOf = ({ property, rule }: Column) => [property, rule] as const
    this.#rules = Object.fromEntries(table.columns.map(ruleOf))
    this.#patchRules = Object.fromEntries(table.patch.map(ruleOf))
    this.#required = table.columns.filter(({ filledIn }) => filledIn === undefined).map(({ property }) => property)
    this.#filterRules = Object.fromEntries(table.columns.map((column) => [column.property, filterRule(column)]))
    this.#times = table.columns.filter(({ filledIn }) => filledIn === 'by store').map(({ property }) => property)
    this.#jsons = table.columns.filter(({ kind }) => kind === 'json').map(({ property }) => property)
    this.hasUpdatedAt = this.#times.includes('updatedAt')
  }

  row(row: unknown): Values {
    return this.#soundRow(row) ?? this.#fromSnapshot(rules.snapshotOf(row), '')
  }

  rows<T>(rows: unknown, use: (row: Values) => T): Checked<T> {
    return checkedRows(
      { what: 'The rows', key: this.key, values: rows },
      {
        sound: (row) => this.#soundRow(row),
        checked: (snapshot, path) => this.#fromSnapshot(snapshot, path),
      },
      use,
    )
  }

  #soundRow(row: unknown): Values | undefined {
    const sound = rules.soundCopy(this.#rules, row, this.#required)
    return sound && this.#withOwnObjects(sound)
  }

  #fromSnapshot(snapshot: rules.Snapshot, path = ''): Values {
    return this.#withOwnObjects(
      rules.checkedSnapshot('The row', this.#rules, snapshot, { required: this.#required, path }),
    )
  }

  /** Copies objects that the caller may change while the call goes on. The rules have found them to be JSON. */
  #withOwnObjects(copy: Record<string, unknown>): Values {
    for (const property of this.#jsons) copy[property] &&= structuredClone(copy[property])
    return copy
  }

  /** With defaults and times. */
  complete(row: Values, now: Date): Values {
    const complete: Record<string, unknown> = { ...row }
    for (const [property, value] of this.table.defaults)
      if (complete[property] === undefined) complete[property] = value()
    for (const time of this.#times) if (time === 'updatedAt' || complete[time] === undefined) complete[time] = now
    return complete
  }

  /** Upsert: the row, and the columns that it replaces in an existing row. */
  saving(row: Values, now: Date): Call<Values, Values> & { readonly set: readonly string[] } {
    const own = Object.fromEntries(Object.entries(row).filter(([property]) => !this.#times.includes(property)))
    const replaced = Object.keys(own).filter((property) => property !== this.key)
    // DO UPDATE must set something.
    const set = replaced.length > 0 || this.hasUpdatedAt ? replaced.sort() : [this.key]
    return { statement: this.statements.upsert(set), set, parameters: this.complete(own, now) }
  }

  byKey(key: unknown, access?: Access): Values {
    rules.checkValue(this.key, rules.isId, key, access)
    return { [this.key]: key }
  }

  patch(patch: unknown): Values {
    return this.#withOwnObjects(
      rules.checkedSnapshot('The patch', this.#patchRules, rules.snapshotOf(patch), { required: [] }),
    )
  }

  /** Returns the millisecond of `ifUpdatedAt`. */
  expected(options: UpdateOptions): number | undefined {
    rules.checkOptions('The options', this.hasUpdatedAt ? UPDATE_RULES : {}, options)
    return options.ifUpdatedAt?.getTime()
  }

  /** Parameters by the names of their conditions. */
  filter(where: Values, access: Access): Values {
    const snapshot = rules.checkedSnapshot('The filter', this.#filterRules, rules.snapshotOf(where), {
      required: [],
      access,
    })
    const filter: Record<string, unknown> = {}
    for (const name of Object.keys(snapshot).sort()) {
      const value = snapshot[name]
      if (value === null) filter[isNull(name)] = true
      else if (Array.isArray(value)) filter[isOneOf(name)] = value
      else filter[name] = value
    }
    return filter
  }

  /** A filter for a write. An empty filter would mean all rows. */
  needed(where: Values): Values {
    const filter = this.filter(where, 'write')
    if (Object.keys(filter).length > 0) return filter
    throw validationError('The filter', [
      { path: '', message: 'must name a column: without one it would mean all rows' },
    ])
  }

  selection(options: Values): Selected {
    rules.checkOptions('The options', SELECTION_RULES, options, 'read')
    const { where = {}, prefix, orderBy = this.key, descending = false } = options
    const order = orderBy as string
    if (!this.table.ordered.has(order))
      throw validationError('The options', [{ path: 'orderBy', message: this.#unordered(order) }], 'read')
    return {
      order: {
        key: this.key,
        by: order,
        isTime: this.table.columns.some(({ property, kind }) => property === order && kind === 'time'),
        isDescending: descending as boolean,
        prefix: prefix as string | undefined,
      },
      filter: this.filter(where as Values, 'read'),
    }
  }

  #unordered(property: string): string {
    const column = this.table.columns.find((each) => each.property === property)
    if (column === undefined) return 'is not a column'
    return column.nullable ? 'must be a column that is NOT NULL' : 'must be a column that an index begins with'
  }

  page(options: Values): Selected & { readonly after: unknown; readonly limit: number } {
    rules.checkOptions('The options', PAGE_RULES, options, 'read')
    const { limit = rules.DEFAULT_PAGE, after, ...selection } = options
    return { ...this.selection(selection), after, limit: limit as number }
  }

  /** The place after a row, or in the order of the keys after its key. */
  place({ by }: Order, after: unknown): Place | undefined {
    if (after === undefined) return undefined
    const row: Values = typeof after === 'string' && by === this.key ? { [by]: after } : (after as Values)
    const isRow = typeof row === 'object' && row !== null
    for (const property of new Set([by, this.key])) {
      const problem =
        isRow && !Array.isArray(row[property]) ? this.#filterRules[property]?.(row[property]) : 'must be a row'
      if (problem === undefined) continue
      const message =
        by === this.key
          ? 'must be a key, or the last row of the page before'
          : 'must be the last row of the page before'
      throw validationError('The options', [{ path: 'after', message }], 'read')
    }
    return { key: row[this.key] as string, ...(by !== this.key && { value: row[by] }) }
  }
}

const INCOMPARABLE: rules.Rule = () => 'holds lists or objects, which are not compared'

function filterRule({ kind, nullable }: Column): rules.Rule {
  if (kind === 'list' || kind === 'json') return INCOMPARABLE
  const { rule } = kindOf({ kind })
  return (value) => {
    if (value === null) return nullable ? undefined : 'must not be null'
    if (!Array.isArray(value)) return rule(value)
    if (value.length > rules.MAX_PAGE) return `must not be longer than ${rules.MAX_PAGE}`
    for (const [index, each] of value.entries()) {
      const problem = rule(each)
      if (typeof problem === 'string') return [{ path: `[${index}]`, message: problem }]
      if (problem !== undefined) return problem
    }
    return undefined
  }
}

const known = new WeakMap<Described, Arguments>()
export function argumentsOf(table: Described): Arguments {
  let found = known.get(table)
  if (found === undefined) {
    found = new Arguments(table)
    known.set(table, found)
  }
  return found
}
