/** Units of writes that are decided by their number: what the first n have made is known. Each sets a counter to its number. */
import type { Meshstore } from '../../src/index.ts'
import { node, policy } from '../support/samples.ts'

export const COUNTER = 'counter'

interface Unit {
  readonly number: number
  readonly saved: readonly string[]
  readonly deleted: readonly string[]
  readonly policies: readonly string[]
}

/** xorshift, begun anew for each unit. */
function randomOf(seed: number, unit: number): (below: number) => number {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(unit + 1, 0x85ebca6b)) >>> 0 || 1
  const next = (below: number): number => {
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
  for (let turn = 0; turn < 4; turn++) next(2)
  return next
}

export function unitOf(seed: number, number: number): Unit {
  const next = randomOf(seed, number)
  const many = next(200) === 0 ? 500 : 1 + next(4)
  const saved = Array.from({ length: many }, () => `n${next(2_000)}`)
  const deleted = next(10) === 0 ? [`n${next(2_000)}`] : []
  const policies = next(20) === 0 ? [`p${next(20)}`] : []
  return { number, saved: [...new Set(saved)], deleted, policies }
}

const textOf = (number: number): string => `# ${number}\n${'- allow: all\n'.repeat(number % 40)}`

export async function run(store: Meshstore, { number, saved, deleted, policies }: Unit): Promise<void> {
  await store.transaction(
    async (tx) => {
      await tx.nodes.saveMany(saved.map((id) => node(id, { routesDiscovered: number })))
      for (const id of deleted) await tx.nodes.delete(id)
      for (const id of policies) await tx.policies.save(policy(id, textOf(number)))
      await tx.nodes.save(node(COUNTER, { routesDiscovered: number }))
    },
    { timeoutMs: 60_000 },
  )
}

export class Model {
  readonly nodes = new Map<string, number>()
  readonly policies = new Map<string, string>()
  #seed: number
  #last = -1

  constructor(seed: number) {
    this.#seed = seed
  }

  goOnTo(last: number): void {
    while (this.#last < last) {
      const { number, saved, deleted, policies } = unitOf(this.#seed, ++this.#last)
      for (const id of saved) this.nodes.set(id, number)
      for (const id of deleted) this.nodes.delete(id)
      for (const id of policies) this.policies.set(id, textOf(number))
      this.nodes.set(COUNTER, number)
    }
  }
}
