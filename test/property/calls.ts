/** Random programs of calls that are not awaited, with refusals planted among them. */

import fc from 'fast-check'
import type { Meshstore, Repositories } from '../../src/index.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { LONG } from '../support/settings.ts'

/** The row of `broken` cannot be decoded where the database can hold such rows; that of `locked` is held by another session. */
export const IDS = ['a', 'b', 'c', 'broken', 'locked'] as const
export type Id = (typeof IDS)[number]

type Single =
  | { readonly kind: 'save' | 'create' | 'update'; readonly id: Id; readonly value: string }
  | { readonly kind: 'count' | 'delete' | 'setPath' | 'deletePath' | 'deletePolicy'; readonly id: Id }
  | { readonly kind: 'savePolicy'; readonly id: Id; readonly value: string }
export type Simple =
  | Single
  | { readonly kind: 'saveMany' | 'createMany'; readonly ids: readonly Id[]; readonly value: string }
export type Operation =
  | Simple
  | { readonly kind: 'clear' }
  /** The calls before it have begun to run when the next is made. */
  | { readonly kind: 'turn' }
  | { readonly kind: 'transaction'; readonly calls: readonly Simple[]; readonly fails: boolean }

/** A trigger with a SQLSTATE of its own refuses `refuse`, row-level security `forbid`, a deferred foreign key `defer`. */
const value = fc.oneof(
  { weight: 8, arbitrary: fc.stringMatching(/^[a-z]{1,3}$/) },
  { weight: 1, arbitrary: fc.constantFrom('refuse', 'forbid', 'defer') },
)
const id = fc.constantFrom('a', 'b', 'c', 'broken')
const singleOn = (on: fc.Arbitrary<Id>): fc.Arbitrary<Single> =>
  fc.oneof(
    fc.record({ kind: fc.constantFrom('save', 'create', 'update', 'savePolicy'), id: on, value }),
    fc.record({ kind: fc.constantFrom('count', 'delete', 'setPath', 'deletePath', 'deletePolicy'), id: on }),
  )
const many = fc.record({
  kind: fc.constantFrom('saveMany', 'createMany'),
  ids: fc.uniqueArray(id, { minLength: 1 }),
  value,
})
const simpleOn = (on: fc.Arbitrary<Id>): fc.Arbitrary<Simple> =>
  fc.oneof({ weight: 5, arbitrary: singleOn(on) }, { weight: 1, arbitrary: many })
const operationOn = (on: fc.Arbitrary<Id>): fc.Arbitrary<Operation> =>
  fc.oneof(
    { weight: 8, arbitrary: simpleOn(on) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('clear', 'turn') }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('turn') }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('transaction'),
        calls: fc.array(simpleOn(id), { maxLength: 4 }),
        fails: fc.boolean(),
      }),
    },
  )
export const operation = operationOn(id)
/** A call of one row waits for a lock by itself. A bulk call or a transaction would be tried again for seconds. */
export const operationBesideLock = operationOn(
  fc.oneof({ weight: 6, arbitrary: id }, { weight: 1, arbitrary: fc.constant('locked' as const) }),
)

class Mine extends Error {
  readonly code = 'MINE'
}

/** Rows of one program: nothing of another one's is touched. */
export class Program {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  name = (id: Id): string => `${this.#prefix}-${id}`
  #node = (id: Id, text: string) => node(this.name(id), { interfaces: [text] })
  #key = (id: Id) => pathKey(this.name(id), 'z')

  async simple({ nodes, policies, pathCache }: Repositories, call: Simple): Promise<unknown> {
    switch (call.kind) {
      case 'save':
        return (await nodes.save(this.#node(call.id, call.value))).interfaces
      case 'create':
        return (await nodes.create(this.#node(call.id, call.value))).interfaces
      case 'update':
        return (await nodes.update(this.name(call.id), { interfaces: [call.value] })).routesDiscovered
      case 'count':
        return (await nodes.recordRoutes(this.name(call.id))).routesDiscovered
      case 'delete':
        return nodes.delete(this.name(call.id))
      case 'savePolicy':
        return (await policies.save({ policyId: this.name(call.id), yamlContent: `a: ${call.value}` })).yamlContent
      case 'deletePolicy':
        return policies.delete(this.name(call.id))
      case 'setPath':
        return void (await pathCache.set(this.#key(call.id), bundle(this.name(call.id), 'z')))
      case 'deletePath':
        return void (await pathCache.delete(this.#key(call.id)))
      case 'saveMany':
        return (await nodes.saveMany(call.ids.map((each) => this.#node(each, call.value)))).length
      case 'createMany':
        return (await nodes.createMany(call.ids.map((each) => this.#node(each, call.value)))).length
    }
  }

  async run(store: Meshstore, operation: Operation): Promise<unknown> {
    if (operation.kind === 'turn') return undefined
    if (operation.kind === 'clear') return void (await store.pathCache.clear())
    if (operation.kind !== 'transaction') return this.simple(store, operation)
    return store.transaction(async (tx) => {
      const results = await Promise.all(operation.calls.map((call) => this.simple(tx, call).catch(codeOf)))
      if (operation.fails) throw new Mine()
      return results
    }, LONG)
  }

  /** The stored rows. A row that cannot be read is its error's code. */
  async state({ nodes, policies, pathCache }: Repositories): Promise<readonly State[]> {
    return Promise.all(
      IDS.map(async (each) => {
        const found = await nodes.get(this.name(each)).catch(codeOf)
        return {
          node: typeof found === 'object' ? [found.interfaces[0] ?? '', found.routesDiscovered] : found,
          policy: (await policies.get(this.name(each)))?.yamlContent,
          path: (await pathCache.get(this.#key(each))) !== undefined,
        }
      }),
    )
  }
}

const LOCKED: ReadonlySet<string> = new Set(['BUSY', 'ALREADY_EXISTS', 'CONFLICT'])
/** A call on a locked row may be refused for another reason first. */
export const outcomeOf = (operation: Operation, result: unknown): unknown =>
  'id' in operation && operation.id === 'locked' && ON_NODES.has(operation.kind) && LOCKED.has(String(result))
    ? 'LOCKED'
    : result
export const ON_NODES: ReadonlySet<string> = new Set(['save', 'create', 'update', 'count', 'delete'])

export interface State {
  readonly node: readonly [text: string, count: number] | string | undefined
  readonly policy: string | undefined
  readonly path: boolean
}

export const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  if (code === 'MISUSE' || code.includes('Error')) throw error
  return code
}
