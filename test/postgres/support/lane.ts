/** A lane is a program of writes on rows of its own. Each of its writes leaves a number behind that no other one does. */
import type { Meshstore, Repositories } from '../../../src/index.ts'
import { integerFrom, randomFrom } from '../../faults/random.ts'
import { all } from '../../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../../support/samples.ts'

/** The node that the transactions of all lanes count on. */
export const SHARED = 'shared'
const ROWS = 12
/** No entry of the cache expires while it is looked at. */
const TTL_SECONDS = 86_400

type Table = 'nodes' | 'policies' | 'paths'
interface Write {
  readonly table: Table
  readonly row: number
  /** `undefined`: the row is deleted. */
  readonly version: number | undefined
}
export interface Operation {
  readonly how: 'singly' | 'together' | 'in a transaction' | 'in a transaction that throws'
  readonly writes: readonly Write[]
}

/** The content of a lane's rows. */
export class Rows {
  readonly #versions = new Map<string, number>()
  /** How often the lane counted on the shared node. */
  shared = 0

  set(table: Table, row: number, version: number | undefined): void {
    if (version === undefined) this.#versions.delete(`${table} ${row}`)
    else this.#versions.set(`${table} ${row}`, version)
  }

  has(table: Table, row: number): boolean {
    return this.#versions.has(`${table} ${row}`)
  }

  after({ how, writes }: Operation): Rows {
    const rows = new Rows()
    for (const [key, version] of this.#versions) rows.#versions.set(key, version)
    rows.shared = this.shared + (how === 'in a transaction' ? 1 : 0)
    if (how !== 'in a transaction that throws') {
      for (const { table, row, version } of writes) rows.set(table, row, version)
    }
    return rows
  }

  /** Equal for equal rows. */
  toString(): string {
    return [...this.#versions]
      .map(([key, version]) => `${key} = ${version}`)
      .toSorted()
      .join()
  }
}

/** The write number `at` of a lane: it depends on the seed, the lane and the number alone. */
export function operationAt(seed: number, lane: number, at: number): Operation {
  const random = randomFrom(seed, lane, at)
  const write = (table: Table): Write => ({
    table,
    row: integerFrom(random, 0, ROWS - 1),
    version: random() < 0.2 ? undefined : at,
  })
  const tables = ['nodes', 'nodes', 'policies', 'paths'] as const
  const any = (): Write => write(tables[integerFrom(random, 0, 3)] ?? 'nodes')
  const several = (make: () => Write): Write[] => Array.from({ length: integerFrom(random, 2, 5) }, make)
  const choice = random()
  if (choice < 0.6) return { how: 'singly', writes: [any()] }
  if (choice < 0.75) {
    const table = random() < 0.5 ? 'nodes' : 'paths'
    return { how: 'together', writes: several(() => ({ ...write(table), version: at })) }
  }
  // The last one leaves its number: whether the transaction is there can be seen.
  const writes = [...several(any), { ...any(), version: at }]
  return { how: choice < 0.95 ? 'in a transaction' : 'in a transaction that throws', writes }
}

class Thrown extends Error {}

/** Resolves when the store has acknowledged it; for a transaction that throws, when that was rolled back. */
export async function perform(store: Meshstore, lane: number, { how, writes }: Operation, rows: Rows): Promise<void> {
  if (how === 'singly') {
    for (const each of writes) await write(store, lane, each, rows)
    return
  }
  if (how === 'together') return writeTogether(store, lane, writes)
  const work = store.transaction(async (tx) => {
    // First of all: who holds the row that all want is sure to get to the end.
    await tx.nodes.recordRoutes(SHARED)
    let before = rows
    for (const each of writes) {
      await write(tx, lane, each, before)
      before = before.after({ how: 'singly', writes: [each] })
    }
    if (how === 'in a transaction that throws') throw new Thrown()
  })
  await work.catch((error) => {
    if (!(error instanceof Thrown)) throw error
  })
}

const idOf = (lane: number, row: number): string => `${lane}/${row}`
const text = (version: number): string => `version: ${version}\nrules: []\n`

async function write(on: Repositories, lane: number, { table, row, version }: Write, rows: Rows): Promise<void> {
  const id = idOf(lane, row)
  const exists = rows.has(table, row)
  if (version === undefined) {
    const gone = await {
      nodes: () => on.nodes.delete(id),
      policies: () => on.policies.delete(id),
      paths: () => on.pathCache.delete(pathKey(String(lane), id)),
    }[table]()
    if (gone !== exists) throw new Error(`Deleting ${id} of ${table} said ${gone}.`)
  } else if (table === 'nodes') {
    const patch = { routesDiscovered: version }
    if (!exists) await on.nodes.create(node(id, patch))
    else if (version % 2 === 0) await on.nodes.save(node(id, patch))
    else await on.nodes.update(id, patch)
  } else if (table === 'policies') {
    if (!exists) await on.policies.create(policy(id, text(version)))
    else if (version % 2 === 0) await on.policies.save(policy(id, text(version)))
    else await on.policies.update(id, { yamlContent: text(version) })
  } else {
    await on.pathCache.set(pathKey(String(lane), id), bundle(String(lane), id, version), { ttlSeconds: TTL_SECONDS })
  }
}

async function writeTogether(on: Repositories, lane: number, writes: readonly Write[]): Promise<void> {
  const [first] = writes
  if (first?.table === 'nodes') {
    await on.nodes.saveMany(writes.map(({ row, version }) => node(idOf(lane, row), { routesDiscovered: version })))
    return
  }
  const source = String(lane)
  const entries = writes.map(({ row, version }) => {
    const id = idOf(lane, row)
    return { key: pathKey(source, id), bundle: bundle(source, id, version), ttlSeconds: TTL_SECONDS }
  })
  await on.pathCache.setMany(entries)
}

/** Reads the rows of a lane. */
export async function rowsOf({ nodes, policies, pathCache }: Repositories, lane: number): Promise<Rows> {
  const rows = new Rows()
  const rowOf = (id: string): number => Number(id.slice(id.indexOf('/') + 1))
  const ids = Array.from({ length: ROWS }, (_, row) => idOf(lane, row))
  for (const { nodeId, routesDiscovered } of await nodes.getMany(ids))
    rows.set('nodes', rowOf(nodeId), routesDiscovered)
  for (const { policyId } of await all(policies.iterate())) {
    const found = ids.includes(policyId) ? await policies.get(policyId) : undefined
    if (found !== undefined) rows.set('policies', rowOf(policyId), Number(/\d+/.exec(found.yamlContent)?.[0]))
  }
  for (const { destination, bundle } of await pathCache.list({ source: String(lane) })) {
    rows.set('paths', rowOf(destination), bundle.primary[0]?.latency_sum_ms)
  }
  return rows
}
