/**
 * Writes as fast as it can, in many lanes at once, until it is killed. Says which lanes have had how many writes
 * acknowledged, a line for each turn: how many were begun in all, then `lane:count` for each that moved. Beside them it
 * sweeps and makes backups, one after the other, and says so: `swept 3`, `backup <name>`.
 */
import { join } from 'node:path'
import { type Meshstore, openStorage, type StorageOptions } from '../../src/index.ts'
import { messages, say } from '../sqlite/support/messages.ts'
import { LaneState, operationAt } from './lane.ts'
import { perform } from './perform.ts'

export interface Orders {
  readonly path: string
  readonly seed: number
  /** How many writes of each lane are in the file. Without any it opens the file and waits. */
  readonly positions: readonly number[]
  readonly durability?: StorageOptions['durability']
  /** The folder for backups. Without it none is made. */
  readonly backups?: string
}

let begun = 0
const moved = new Map<number, number>()

function acknowledge(lane: number, position: number): void {
  if (moved.size === 0) setImmediate(tell)
  moved.set(lane, position)
}

function tell(): void {
  const acknowledged = [...moved].map(([lane, position]) => `${lane}:${position}`)
  moved.clear()
  say(`${begun} ${acknowledged.join(' ')}`)
}

/** Paths that are of nobody's lane, and that nobody sees again. */
const shortLived = Array.from({ length: 5 }, (_, index) => ({
  key: { source: 'short-lived', destination: String(index), k: 1 },
  bundle: { source: 'short-lived', destination: String(index), primary: [] },
  ttlSeconds: 0.001,
}))

async function lookAfter(store: Meshstore, backups: string): Promise<never> {
  for (let number = 0; ; number++) {
    await store.pathCache.setMany(shortLived)
    const { expired } = await store.pathCache.sweep()
    say(`swept ${expired}`)
    const name = `${process.pid}-${number}.backup`
    await store.backup(join(backups, name))
    say(`backup ${name}`)
  }
}

async function run({ path, seed, positions, durability, backups }: Orders): Promise<never> {
  say('opening')
  // Each write is judged by itself: none of nodes and policies may take paths with it.
  const store = await openStorage({ url: path, durability, pathCache: { invalidation: 'manual' } })
  say('open')
  const lanes = positions.map(async (done, lane): Promise<never> => {
    const state = new LaneState()
    for (let at = 0; at < done; at++) state.apply(operationAt(seed, lane, at, state))
    for (let at = done; ; at++) {
      const operation = operationAt(seed, lane, at, state)
      begun++
      await perform(store, lane, operation)
      state.apply(operation)
      acknowledge(lane, at + 1)
    }
  })
  return Promise.race(backups === undefined ? lanes : [...lanes, lookAfter(store, backups)])
}

async function main(): Promise<void> {
  // Everything is loaded before it is told to begin.
  const rehearsal = await openStorage('sqlite::memory:')
  await rehearsal.policies.save({ policyId: 'p', yamlContent: 'rules: []' })
  await rehearsal.nodes.save({ nodeId: 'n', interfaces: [], protocols: [] })
  await rehearsal.close()
  say('ready')
  for await (const orders of messages<Orders>()) {
    run(orders).catch((error: unknown) => {
      console.error(error)
      process.exit(1)
    })
  }
  // The parent is gone.
  process.exit(2)
}

await main()
