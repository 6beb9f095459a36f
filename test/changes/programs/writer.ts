/**
 * Writes so many changes, in several lanes at once, through the library and past it: into rows of its own, into rows that it shares
 * with other writers, and into transactions that are rolled back. Says which were committed, a line for each turn of a lane.
 */
import { type Meshstore, openStorage, StorageError, type Transaction } from '../../../src/index.ts'
import { say } from '../../sqlite/support/messages.ts'
import { openOther } from './other-writer.ts'

export const SHARED = 4
export const UNDONE = 'undone'
const LANES = 8
/** However busy the machine is, no write is given up. */
const PATIENCE_MS = 600_000

const [url = '', name = '', count = ''] = process.argv.slice(2)
const store = await openStorage({
  migrate: 'skip',
  url,
  busyTimeoutMs: PATIENCE_MS,
  pathCache: { invalidation: 'manual', sweepSeconds: 0.5 },
})
const other = await openOther(url)
let committed = 0

/** Committed, in words: of one row in the order in which it came about. */
function acknowledge(...words: string[]): void {
  committed += words.length
  say(words)
}

const node = (nodeId: string) => ({ nodeId, interfaces: ['eth0'], protocols: ['x'] })
class Undo extends Error {}

/** The life of a row that nobody else writes. */
async function ownRow({ nodes }: Meshstore, id: string): Promise<void> {
  await nodes.create(node(id))
  await nodes.recordRoutes(id)
  await nodes.save(node(id))
  await nodes.delete(id)
  acknowledge(`insert nodes ${id}`, `update nodes ${id}`, `update nodes ${id}`, `delete nodes ${id}`)
}

async function transactions(id: string): Promise<void> {
  const undone = `${UNDONE}-${id}`
  const undo = (): never => {
    throw new Undo()
  }
  const ignore = (error: unknown): void => {
    if (!(error instanceof Undo)) throw error
  }
  const inTransaction = (work: (tx: Transaction) => Promise<void>) =>
    store.transaction(work, { timeoutMs: PATIENCE_MS })
  await inTransaction(async (tx) => {
    await tx.nodes.createMany([node(`${id}-x`), node(`${id}-y`)])
    const savepoint = tx.transaction(async (inner) => {
      await inner.nodes.delete(`${id}-x`)
      await inner.nodes.create(node(undone))
      undo()
    })
    await savepoint.catch(ignore)
    await tx.nodes.delete(`${id}-y`)
  })
  const rolledBack = inTransaction(async (tx) => {
    await tx.nodes.create(node(undone))
    await tx.nodes.delete(`${id}-x`)
    undo()
  })
  await rolledBack.catch(ignore)
  await store.nodes.delete(`${id}-x`)
  acknowledge(...['x', 'y'].flatMap((end) => [`insert nodes ${id}-${end}`, `delete nodes ${id}-${end}`]))
}

/** Rows that all writers want: they are created, changed and deleted by whoever comes first. */
async function sharedRow(turn: number): Promise<void> {
  const id = `shared-${turn % SHARED}`
  const refused = (error: unknown): false => {
    if (error instanceof StorageError && ['ALREADY_EXISTS', 'NOT_FOUND'].includes(error.code)) return false
    throw error
  }
  const done = async (operation: string, work: Promise<unknown>): Promise<void> => {
    if ((await work.catch(refused)) !== false) acknowledge(`${operation} nodes ${id}`)
  }
  await done('insert', store.nodes.create(node(id)))
  await done('update', store.nodes.recordRoutes(id))
  await done('delete', store.nodes.delete(id))
}

async function lane(number: number): Promise<void> {
  for (let turn = 0; committed < Number(count); turn++) {
    const id = `${name}-${number}-${turn}`
    await ownRow(store, id)
    await transactions(id)
    await sharedRow(turn + number)
  }
}

async function otherLane(): Promise<void> {
  for (let turn = 0; committed < Number(count); turn++) {
    acknowledge(...(await other.turn(`${name}-other-${turn}`, `${UNDONE}-${name}-other-${turn}`)))
  }
}

await Promise.all([...Array.from({ length: LANES }, (_, number) => lane(number)), otherLane()])
await other.close()
await store.close()
say('@done')
