/**
 * `build.ts ENTRY FILE-OR-URL DURABILITY [SIDE [PID]]`: one build of the library, or with the side `pg` or `postgres.js` that driver by
 * hand, on a database that the build has made. PID is the main process of a PostgreSQL server, whose processor time is measured, too. The
 * parent names an operation and a round; this process runs it and answers with microseconds of processor time and of real time for
 * each of its calls or rows, or with the reason why it could not.
 */
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Meshstore } from '../../src/index.ts'
import { OPERATIONS } from '../build-operations.ts'
import { byHand } from '../by-hand.ts'
import { fill } from '../data.ts'
import type { PostgresPeerModule } from '../peer.ts'
import { serverTime } from '../server-time.ts'

export interface Taken {
  readonly cpu: number
  readonly real: number
  /** Processor time of the server's processes. */
  readonly server: number
}

/** An older build has no such method, for example. */
export interface NotTaken {
  readonly failed: string
}

const [, , entry = '', url = '', durability, side, server] = process.argv
const CONNECTIONS = 8
/** Longer than a subscriber takes to notice a commit of its process. */
const POLL_MS = 60
const { openStorage }: typeof import('../../src/index.ts') = await import(pathToFileURL(entry).href)
// An older build does not know the option.
const tokens = process.env.BUILD_TOKENS === undefined ? {} : { outcomeTokens: true }
const log = process.env.BUILD_LOG ?? ''
const replicate = log === '' || log === 'subscribed' ? {} : { replicate: { to: log } }
const open = (options = {}): Promise<Meshstore> =>
  openStorage({ url, durability: durability as 'full', pool: { max: CONNECTIONS }, ...tokens, ...options })
const filling = await open()
await fill(filling)
// Both builds begin with an empty log: a commit that makes the file larger costs more than one that does not.
await filling.close()
const store = await opened()
if (log === 'subscribed') {
  const changes = store.changes()
  await changes.ready()
  const reading = async (): Promise<void> => {
    for await (const _ of changes);
  }
  // The stream ends with the store.
  reading().catch(() => {})
} else if (log !== '') await store.flushReplica()
/** Alone, `pg` does what the library does: it decodes before COMMIT. */
const alone = side === 'pg' ? byHand(url, { decodes: true }) : store

async function opened(): Promise<Meshstore> {
  if (side === 'pg') return byHand(url, { decodes: false })
  if (side !== 'postgres.js') return open(replicate)
  const peer: PostgresPeerModule = await import(new URL('../peers/postgres/postgres.ts', import.meta.url).href)
  const { get, close } = await peer.open(url, CONNECTIONS)
  return { nodes: { get }, close } as unknown as Meshstore
}

/** The subscriber also reads the changes that a round prepares and tidies up. This waits until it has, so that they are not measured. */
async function caughtUp(): Promise<void> {
  do await setTimeout(POLL_MS)
  while ((await store.health()).subscribers?.behindSeconds !== 0)
}

async function taken(name: string, round: number): Promise<Taken> {
  const operation = OPERATIONS[name]
  if (operation === undefined) throw new Error(`There is no operation ${name}.`)
  const prepared = await operation.prepare(operation.isInFlight ? store : alone, round)
  if (log === 'subscribed') await caughtUp()
  const serverBefore = server ? serverTime(Number(server)) : 0
  const [begun, before] = [performance.now(), process.cpuUsage()]
  await prepared.run()
  const { user, system } = process.cpuUsage(before)
  const milliseconds = performance.now() - begun
  const serverUsed = server ? serverTime(Number(server)) - serverBefore : 0
  await prepared.after?.()
  // The store would sweep the paths that the round has made invalid while the next one is measured.
  if (side === undefined || side === 'meshstore') await store.pathCache.sweep()
  return {
    cpu: (user + system) / prepared.count,
    real: (milliseconds * 1_000) / prepared.count,
    server: serverUsed / prepared.count,
  }
}

process.on('message', async ({ name, round }: { name: string; round: number }) => {
  process.send?.(await taken(name, round).catch((error): NotTaken => ({ failed: String(error) })))
})
process.on('disconnect', async () => {
  await Promise.all([store.close(), alone.close()])
})
process.send?.('open')
