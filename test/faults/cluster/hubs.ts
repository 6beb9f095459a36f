/**
 * Cached paths whose source changes again and again. A path's latency is the version of its source when it was computed: a path with
 * an older version than the last acknowledged one is stale.
 */
import type { Meshstore } from '../../../src/index.ts'
import { bundle, pathKey } from '../../support/samples.ts'
import type { Truth } from './truth.ts'

const HUBS = 4

export class Hubs {
  readonly #stores: readonly Meshstore[]
  readonly #truth: Truth
  readonly #names: readonly string[]
  readonly #acknowledged: number[] = Array(HUBS).fill(0)
  readonly #reading = new Set<string>()
  stale = 0
  hits = 0
  computed = 0
  /** From now on the second half of them stays as it is: a failover may bring back an older version, with its paths. */
  resting = false
  /** A failover may lose what was acknowledged: no version is too old then, until all is compared at the end. */
  lossy = false
  #version = 0

  constructor(stores: readonly Meshstore[], truth: Truth, run: string) {
    this.#stores = stores
    this.#truth = truth
    this.#names = Array.from({ length: HUBS }, (_, index) => `${run}-hub-${index}`)
  }

  async create(): Promise<void> {
    for (const nodeId of this.#names) await this.#stores[0]?.nodes.create({ nodeId, interfaces: ['v0'], protocols: [] })
  }

  /** Changes one. Each has one change at a time: versions are acknowledged in their order. */
  async change(): Promise<void> {
    const version = ++this.#version
    const hub = version % (this.resting ? HUBS / 2 : HUBS)
    const name = `change ${hub}`
    if (this.#reading.has(name)) return
    this.#reading.add(name)
    const update = () => this.#stores[0]?.nodes.update(this.#names[hub] ?? '', { interfaces: [`v${version}`] })
    const outcome = await this.#truth.write('update', [], undefined, async () => update())
    if (outcome === 'done') this.#acknowledged[hub] = version
    this.#reading.delete(name)
  }

  /** Reads one through a store. One reader at a time: a reader that joins an earlier computation gets that one's version. */
  async read(turn: number): Promise<void> {
    const [hub, at] = [turn % HUBS, Math.floor(turn / HUBS) % this.#stores.length]
    const name = `${hub} ${at}`
    if (this.#reading.has(name)) return
    this.#reading.add(name)
    const least = this.#acknowledged[hub] ?? 0
    await this.#truth.follow('cached path', async () => {
      const before = this.computed
      const version = await this.#path(at, hub)
      if (version < least && !this.lossy) this.stale++
      if (before === this.computed) this.hits++
    })
    this.#reading.delete(name)
  }

  async #path(at: number, hub: number): Promise<number> {
    const [store, source = ''] = [this.#stores[at], this.#names[hub]]
    const found = await store?.pathCache.getOrCompute(pathKey(source, 'far', 1), async () => {
      this.computed++
      return bundle(source, 'far', await this.#versionOf(store, source))
    })
    return Number(found?.primary?.[0]?.latency_sum_ms)
  }

  async #versionOf(store: Meshstore | undefined, nodeId: string): Promise<number> {
    return Number((await store?.nodes.get(nodeId))?.interfaces[0]?.slice(1))
  }

  /** When nothing changes any more, each path that is served has the version that its source has now. */
  async compare(now: Meshstore): Promise<void> {
    for (const [hub, name] of this.#names.entries()) {
      const version = await this.#versionOf(now, name)
      for (const at of this.#stores.keys()) if ((await this.#path(at, hub)) !== version) this.stale++
    }
  }
}
