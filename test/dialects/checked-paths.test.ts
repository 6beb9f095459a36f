/** While invalidations are pending, a read checks its path against the later ones alone: nothing that was invalidated comes back. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Meshstore, PathBundle, PathKey, Repositories } from '../../src/index.ts'
import { type LastingBackend, lastingBackends } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { gate } from '../support/gate.ts'
import { assertProperty } from '../support/properties.ts'
import { node, pathKey } from '../support/samples.ts'

const NODES = ['a', 'b', 'c', 'd'] as const
const KEYS = [pathKey('a', 'b'), pathKey('a', 'c'), pathKey('c', 'b')] as const
type Caches = Pick<Repositories, 'pathCache'>
type Node = (typeof NODES)[number]

/** The valid bundles, by the place of their key. */
type Model = (PathBundle | undefined)[]

const without = (model: Model, id: string): Model => model.map((each) => (isThrough(each, id) ? undefined : each))
const isThrough = (paths: PathBundle | undefined, id: string): boolean =>
  paths?.primary.some(({ nodes }) => nodes.includes(id)) === true

const UNDONE = new Error('undone')

interface Snapshot {
  look(): Promise<void>
  end(): Promise<void>
}

/** Two stores on one database, as two processes have it, and a snapshot that may be open. */
class World {
  readonly #stores: readonly Meshstore[]
  #model: Model = KEYS.map(() => undefined)
  #count = 0
  #snapshot: Snapshot | undefined

  constructor(stores: readonly Meshstore[]) {
    this.#stores = stores
  }

  #on(which: number): Meshstore {
    return this.#stores[which] as Meshstore
  }

  #bundleOf({ source, destination }: PathKey, via: Node): PathBundle {
    return { source, destination, primary: [{ nodes: [source, via, destination], total_weight: ++this.#count }] }
  }

  #changed(): { protocols: string[] } {
    return { protocols: [String(++this.#count)] }
  }

  async #compare(on: Caches, model: Model, at: number): Promise<void> {
    expect(await on.pathCache.get(KEYS[at] as PathKey)).toEqual(model[at])
  }

  async #compareAll(on: Caches, model: Model): Promise<void> {
    for (const at of KEYS.keys()) await this.#compare(on, model, at)
  }

  async set(which: number, at: number, via: Node): Promise<void> {
    const key = KEYS[at] as PathKey
    const paths = this.#bundleOf(key, via)
    await this.#on(which).pathCache.set(key, paths)
    this.#model = this.#model.with(at, paths)
  }

  async get(which: number, at: number): Promise<void> {
    await this.#compare(this.#on(which), this.#model, at)
  }

  async resolve(which: number, at: number, via: Node): Promise<void> {
    const key = KEYS[at] as PathKey
    const found = this.#model[at]
    const made = this.#bundleOf(key, via)
    const { bundle } = await this.#on(which).pathCache.resolve(key, () => made)
    expect(bundle).toEqual(found ?? made)
    this.#model = this.#model.with(at, bundle)
  }

  async change(which: number, id: Node): Promise<void> {
    await this.#on(which).nodes.update(id, this.#changed())
    this.#model = without(this.#model, id)
  }

  /** A transaction reads what it has invalidated, and what it has stored anew. */
  async together(which: number, id: Node, at: number, isUndone: boolean): Promise<void> {
    const key = KEYS[at] as PathKey
    let model: Model = []
    const running = this.#on(which).transaction(async (tx) => {
      // After a conflict with a sweep it runs again.
      model = without(this.#model, id)
      await tx.nodes.update(id, this.#changed())
      await this.#compareAll(tx, model)
      model = model.with(at, this.#bundleOf(key, id))
      await tx.pathCache.set(key, model[at] as PathBundle)
      await this.#compareAll(tx, model)
      if (isUndone) throw UNDONE
    })
    if (isUndone) await expect(running).rejects.toBe(UNDONE)
    else {
      await running
      this.#model = model
    }
  }

  async invalidate(which: number, at: number): Promise<void> {
    const { source } = KEYS[at] as PathKey
    await this.#on(which).pathCache.invalidate({ source })
    this.#model = this.#model.map((each) => (each?.source === source ? undefined : each))
  }

  async sweep(which: number): Promise<void> {
    await this.#on(which).pathCache.sweep()
  }

  /** Opens a snapshot, looks at what it sees, or ends it. */
  async snapshot(which: number, isEnd: boolean): Promise<void> {
    if (this.#snapshot === undefined) this.#snapshot = await this.#opened(this.#on(which))
    else if (isEnd) await this.end()
    else await this.#snapshot.look()
  }

  async #opened(store: Meshstore): Promise<Snapshot> {
    const model = this.#model
    const done = gate()
    const { promise, resolve, reject } = Promise.withResolvers<Caches>()
    const running = store.transaction(
      async (tx) => {
        await tx.nodes.count()
        resolve(tx)
        await done.opened
      },
      { readOnly: true, timeoutMs: 600_000 },
    )
    running.catch(reject)
    const tx = await promise
    return {
      look: () => this.#compareAll(tx, model),
      end: () => {
        done.open()
        return running
      },
    }
  }

  async end(): Promise<void> {
    await this.#snapshot?.end()
    this.#snapshot = undefined
  }
}

const which = fc.constantFrom(0, 1)
const at = fc.nat({ max: KEYS.length - 1 })
const id = fc.constantFrom(...NODES)

type Step = (world: World) => Promise<void>
/** With a text for a counterexample. */
const step = <A extends unknown[]>(
  name: string,
  of: fc.Arbitrary<A>,
  run: (world: World, ...values: A) => Promise<void>,
): fc.Arbitrary<Step> =>
  of.map((values) => Object.assign((world: World) => run(world, ...values), { toString: () => `${name} ${values}` }))

const steps = fc.oneof(
  { weight: 4, arbitrary: step('get', fc.tuple(which, at), (world, ...of) => world.get(...of)) },
  { weight: 2, arbitrary: step('set', fc.tuple(which, at, id), (world, ...of) => world.set(...of)) },
  { weight: 1, arbitrary: step('resolve', fc.tuple(which, at, id), (world, ...of) => world.resolve(...of)) },
  { weight: 3, arbitrary: step('change', fc.tuple(which, id), (world, ...of) => world.change(...of)) },
  {
    weight: 2,
    arbitrary: step('together', fc.tuple(which, id, at, fc.boolean()), (world, ...of) => world.together(...of)),
  },
  { weight: 1, arbitrary: step('invalidate', fc.tuple(which, at), (world, ...of) => world.invalidate(...of)) },
  { weight: 1, arbitrary: step('sweep', fc.tuple(which), (world, of) => world.sweep(of)) },
  { weight: 2, arbitrary: step('snapshot', fc.tuple(which, fc.boolean()), (world, ...of) => world.snapshot(...of)) },
)

async function run(backend: LastingBackend, program: readonly Step[]): Promise<void> {
  const options = { pathCache: { sweepSeconds: 86_400 } }
  await using opened = await backend.open(options)
  const stores = [opened.store, await opened.openAgain(options)]
  await opened.store.nodes.createMany(NODES.map((each) => node(each)))
  const world = new World(stores)
  try {
    for (const each of program) await each(world)
    for (const store of stores.keys()) for (const key of KEYS.keys()) await world.get(store, key)
  } finally {
    await world.end()
  }
}

describe.each(lastingBackends)('paths that were checked, on $name', (backend) => {
  test('random programs of two stores, transactions and snapshots', () =>
    assertProperty(
      `checked paths, ${backend.name}`,
      fc.asyncProperty(fc.array(steps, { minLength: 10, maxLength: 60 }), (program) => run(backend, program)),
      { runs: bound('RUNS', { brief: backend.slow ? 5 : 50, short: backend.slow ? 40 : 300, long: 3_000 }) },
    ))

  test('a snapshot with an older row than the one that was checked', () =>
    run(backend, [
      (world) => world.set(0, 0, 'a'),
      (world) => world.change(0, 'a'),
      (world) => world.snapshot(0, false),
      (world) => world.set(0, 0, 'b'),
      (world) => world.get(0, 0),
      (world) => world.snapshot(0, false),
    ]))
})
