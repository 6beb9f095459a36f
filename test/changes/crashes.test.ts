/** PostgreSQL crashes while some write and one listens: what was acknowledged is heard of, by the same subscription. */
import { expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { shows } from '../faults/shown.ts'
import { asSoonAsAvailable, eventually } from '../postgres/support/eventually.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { bound } from '../support/bounds.ts'
import { startPostgres } from '../support/postgres-server.ts'
import { node } from '../support/samples.ts'

const CRASHES = bound('CHANGES_CRASHES', { brief: 2, short: 10, long: 50 })
const LANES = 6
const WRITES_BETWEEN = 100
const LAST = 'the-last'

class Undo extends Error {}

/** Writes, and rolls back between its writes, until it is told to stop; what it says was committed. */
async function write(store: Meshstore, lane: number, { acknowledged, isOver }: Progress): Promise<void> {
  for (let turn = 0; !isOver(); turn++) {
    const nodeId = `n-${lane}-${turn}`
    const undone = store.transaction(async (tx) => {
      await tx.nodes.create(node(`undone-${nodeId}`))
      throw new Undo()
    })
    await undone.catch(ignored)
    await store.nodes.create(node(nodeId)).then(() => acknowledged.push(nodeId), ignored)
  }
}

interface Progress {
  readonly acknowledged: string[]
  readonly isOver: () => boolean
}

function ignored(error: unknown): void {
  const isOfCrash = error instanceof StorageError && (error.retryable || error.code === 'OUTCOME_UNKNOWN')
  if (!isOfCrash && !(error instanceof Undo)) throw error
}

describePostgres('changes of a server that crashes', () => {
  test('are heard of by the same subscription, none of them missing', {
    timeout: 600_000 + CRASHES * 20_000,
  }, async () => {
    const server = await startPostgres()
    try {
      await using store = await openStorage({ url: server.url('postgres'), pathCache: { sweepSeconds: 0.5 } })
      const changes = store.changes()
      await changes.ready()
      const heard = new Set<string>()
      const listening = (async () => {
        while (!heard.has(LAST)) heard.add(String((await asSoonAsAvailable(() => changes.next())).value?.key))
      })()
      let isOver = false
      const acknowledged: string[] = []
      const lanes = Array.from({ length: LANES }, (_, lane) =>
        write(store, lane, { acknowledged, isOver: () => isOver }),
      )
      for (let crash = 0; crash < CRASHES; crash++) {
        const enough = acknowledged.length + WRITES_BETWEEN
        await eventually('some have been written', () => acknowledged.length >= enough, 60_000)
        await server.crash()
      }
      await eventually('it is written again', () => acknowledged.length > CRASHES * WRITES_BETWEEN + 10, 60_000)
      isOver = true
      await Promise.all(lanes)
      await store.nodes.create(node(LAST))
      await listening
      expect(acknowledged.filter((nodeId) => !heard.has(nodeId))).toEqual([])
      expect([...heard].filter((nodeId) => nodeId.startsWith('undone'))).toEqual([])
      shows(`PostgreSQL crashed ${CRASHES} times: ${acknowledged.length} changes heard of by one subscription`)
    } finally {
      await server.stop()
    }
  })
})
