/**
 * Calls take effect in the order in which they were made, awaited or not: singly, in bulk, in a transaction. A call that is refused
 * changes nothing and fails no other call. One model for both dialects.
 */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import type { Meshstore, Repositories } from '../../src/index.ts'
import type { Backend } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { assertProperty } from '../support/properties.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'

const IDS = ['a', 'b', 'c'] as const
type Id = (typeof IDS)[number]

type Single =
  | { readonly kind: 'save' | 'create' | 'update'; readonly id: Id; readonly value: string }
  | { readonly kind: 'count' | 'delete' | 'setPath' | 'deletePath' | 'deletePolicy'; readonly id: Id }
  | { readonly kind: 'savePolicy'; readonly id: Id; readonly value: string }
type Simple = Single | { readonly kind: 'saveMany' | 'createMany'; readonly ids: readonly Id[]; readonly value: string }
type Operation =
  | Simple
  | { readonly kind: 'clear' }
  | { readonly kind: 'transaction'; readonly calls: readonly Simple[]; readonly fails: boolean }

/** `refuse` is refused by a trigger with a SQLSTATE of its own, `defer` at the commit. */
const value = fc.oneof(
  { weight: 8, arbitrary: fc.stringMatching(/^[a-z]{1,3}$/) },
  { weight: 1, arbitrary: fc.constantFrom('refuse', 'defer') },
)
const id = fc.constantFrom(...IDS)
const single: fc.Arbitrary<Single> = fc.oneof(
  fc.record({ kind: fc.constantFrom('save', 'create', 'update', 'savePolicy'), id, value }),
  fc.record({ kind: fc.constantFrom('count', 'delete', 'setPath', 'deletePath', 'deletePolicy'), id }),
)
const many = fc.record({
  kind: fc.constantFrom('saveMany', 'createMany'),
  ids: fc.uniqueArray(id, { minLength: 1 }),
  value,
})
const simple: fc.Arbitrary<Simple> = fc.oneof({ weight: 5, arbitrary: single }, { weight: 1, arbitrary: many })
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 8, arbitrary: simple },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('transaction'),
      calls: fc.array(simple, { maxLength: 4 }),
      fails: fc.boolean(),
    }),
  },
)

class Mine extends Error {
  readonly code = 'MINE'
}

/** Rows of one program: nothing of another one's is touched. */
class Program {
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
    if (operation.kind === 'clear') return void (await store.pathCache.clear())
    if (operation.kind !== 'transaction') return this.simple(store, operation)
    return store.transaction(async (tx) => {
      const results = await Promise.all(operation.calls.map((call) => this.simple(tx, call).catch(codeOf)))
      if (operation.fails) throw new Mine()
      return results
    })
  }

  async state({ nodes, policies, pathCache }: Repositories): Promise<unknown> {
    return Promise.all(
      IDS.map(async (each) => {
        const found = await nodes.get(this.name(each))
        return {
          node: found && [found.interfaces[0], found.routesDiscovered],
          policy: (await policies.get(this.name(each)))?.yamlContent,
          path: (await pathCache.get(this.#key(each))) !== undefined,
        }
      }),
    )
  }
}

const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  if (code === 'MISUSE' || code.includes('Error')) throw error
  return code
}

class Refused {
  readonly code: string

  constructor(code: string) {
    this.code = code
  }
}

/** What the calls come to one after the other. A path may be gone: a change of a node or a policy drops some. */
class Model {
  nodes = new Map<Id, [text: string, count: number]>()
  policies = new Map<Id, string>()
  paths = new Set<Id>()
  defers = false

  #copy(): Model {
    const copy = new Model()
    copy.nodes = new Map([...this.nodes].map(([key, [text, count]]) => [key, [text, count]]))
    copy.policies = new Map(this.policies)
    copy.paths = new Set(this.paths)
    copy.defers = this.defers
    return copy
  }

  #attempt(work: (on: Model) => unknown, committed: boolean): unknown {
    const copy = this.#copy()
    try {
      const result = work(copy)
      if (committed && copy.defers) throw new Refused('CONFLICT')
      Object.assign(this, copy)
      return result
    } catch (error) {
      if (error instanceof Refused) return error.code
      throw error
    }
  }

  run(operation: Operation): unknown {
    return this.#attempt((on) => {
      if (operation.kind === 'clear') return void on.paths.clear()
      if (operation.kind !== 'transaction') return on.#simple(operation)
      const results = operation.calls.map((call) => on.#attempt((inner) => inner.#simple(call), false))
      if (operation.fails) throw new Refused('MINE')
      return results
    }, true)
  }

  #put(key: Id, text: string): string[] {
    if (text === 'refuse') throw new Refused('CONFLICT')
    if (text === 'defer') this.defers = true
    this.nodes.set(key, [text, this.nodes.get(key)?.[1] ?? 0])
    return [text]
  }

  #there(key: Id): [text: string, count: number] {
    const found = this.nodes.get(key)
    if (found === undefined) throw new Refused('NOT_FOUND')
    return found
  }

  #simple(call: Simple): unknown {
    switch (call.kind) {
      case 'save':
        return this.#put(call.id, call.value)
      case 'create':
        if (call.value !== 'refuse' && this.nodes.has(call.id)) throw new Refused('ALREADY_EXISTS')
        return this.#put(call.id, call.value)
      case 'update':
        this.#there(call.id)
        this.#put(call.id, call.value)
        return this.#there(call.id)[1]
      case 'count': {
        const found = this.#there(call.id)
        if (found[0] === 'defer') this.defers = true
        return ++found[1]
      }
      case 'delete':
        return this.nodes.delete(call.id)
      case 'savePolicy':
        this.policies.set(call.id, `a: ${call.value}`)
        return `a: ${call.value}`
      case 'deletePolicy':
        return this.policies.delete(call.id)
      case 'setPath':
        return void this.paths.add(call.id)
      case 'deletePath':
        return void this.paths.delete(call.id)
      case 'saveMany':
        for (const each of call.ids) this.#put(each, call.value)
        return call.ids.length
      case 'createMany':
        if (call.value === 'refuse') throw new Refused('CONFLICT')
        if (call.ids.some((each) => this.nodes.has(each))) throw new Refused('ALREADY_EXISTS')
        for (const each of call.ids) this.#put(each, call.value)
        return call.ids.length
    }
  }
}

const ON_POSTGRES = `
  CREATE FUNCTION refusing() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF NEW.interfaces::text LIKE '%refuse%' THEN RAISE EXCEPTION 'refused' USING ERRCODE = 'MS001'; END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER refusing BEFORE INSERT OR UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION refusing();
  CREATE FUNCTION dropping() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF NEW.interfaces::text LIKE '%defer%' THEN RAISE EXCEPTION 'refused'; END IF;
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER dropping AFTER INSERT OR UPDATE ON nodes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dropping()`
const ON_SQLITE = ['INSERT', 'UPDATE']
  .map(
    (event) => `CREATE TRIGGER refusing_${event} BEFORE ${event} ON nodes WHEN NEW.interfaces LIKE '%refuse%'
      BEGIN SELECT RAISE(ABORT, 'refused'); END;`,
  )
  .join('\n')

/** SQLite has no constraint of ours that is checked at the commit. */
const isOfSqlite = ({ looseTypes }: Backend): boolean => looseTypes

eachBackend('calls that are not awaited', (backend) => {
  const stores: Meshstore[] = []
  beforeAll(async () => {
    // Each number of connections has its own ways to wait.
    const opened = await Promise.all(
      (isOfSqlite(backend) ? [1] : [1, 2, 8]).map((max) => backend.open({ pool: { max } })),
    )
    for (const { store, other } of opened) {
      await other.execute(isOfSqlite(backend) ? ON_SQLITE : ON_POSTGRES)
      stores.push(store)
    }
    return async () => {
      for (const each of opened) await each[Symbol.asyncDispose]()
    }
  })

  let programs = 0
  test('take effect in their order, and a refused one changes nothing', () => {
    const operations = fc.array(operation, { minLength: 2, maxLength: 25, size: 'max' })
    return assertProperty(
      `order of calls, ${backend.name}`,
      fc.asyncProperty(operations, fc.nat(), async (all, pick) => {
        const store = stores[pick % stores.length] as Meshstore
        const program = new Program(`p${programs++}`)
        const model = new Model()
        const plain = isOfSqlite(backend) ? all.map(withoutDeferred) : all
        const results = await Promise.all(plain.map((each) => program.run(store, each).catch(codeOf)))
        expect(results).toEqual(plain.map((each) => model.run(each)))
        const state = (await program.state(store)) as { node: unknown; policy: unknown; path: boolean }[]
        expect(state.map(({ node: found, policy }) => [found, policy])).toEqual(
          IDS.map((each) => [model.nodes.get(each), model.policies.get(each)]),
        )
        for (const [at, { path }] of state.entries()) if (path) expect(model.paths).toContain(IDS[at])
      }),
      { runs: bound('CALL_ORDERS', { brief: 60, short: 1_000, long: 100_000 }) },
    )
  })
})

const withoutDeferred = (operation: Operation): Operation =>
  JSON.parse(JSON.stringify(operation).replaceAll('"defer"', '"later"')) as Operation
