/** Opens a database at the same moment as others do, adds a row and reads it; or has drizzle-orm migrate it. */
import Sqlite from 'better-sqlite3'
import { drizzle as onSqlite } from 'drizzle-orm/better-sqlite3'
import { migrate as migrateSqlite } from 'drizzle-orm/better-sqlite3/migrator'
import { drizzle as onPostgres } from 'drizzle-orm/node-postgres'
import { migrate as migratePostgres } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { openStorage } from '../../src/index.ts'
import { messages, say } from '../sqlite/support/messages.ts'
import { waitFor } from './migration-barrier.ts'
import { hooks } from './migration-hooks.ts'
import { ASKS } from './migration-lock.ts'

export interface Order {
  readonly do: 'visit' | 'drizzle'
  readonly url: string
  readonly nodeId: string
  /** For drizzle-orm. */
  readonly folder: string
  /** The point at which it waits for the others: before everything, or when it has seen that something is pending. */
  readonly at: 'start' | 'lock'
  /** The file that lets all of them go. */
  readonly go: string
}

export interface Outcome {
  /** `done`, or why it failed. */
  readonly outcome: string
  /** It found something pending, and asked for the lock. */
  readonly asked: boolean
  /** It was refused the lock at first. */
  readonly refused: boolean
}

async function visit({ url, nodeId }: Order): Promise<void> {
  const store = await openStorage({ url, busyTimeoutMs: 60_000 })
  // The hooks would stop its own writes, which take the same lock.
  hooks.before = hooks.after = () => {}
  await store.nodes.create({ nodeId, interfaces: [], protocols: [] })
  if ((await store.nodes.get(nodeId)) === undefined) throw new Error('What was written is not there.')
  await store.close()
}

async function migrate({ url, folder }: Order): Promise<void> {
  if (url.startsWith('sqlite:')) {
    const raw = new Sqlite(url.slice('sqlite:'.length))
    migrateSqlite(onSqlite(raw), { migrationsFolder: folder })
    raw.close()
    return
  }
  const client = new pg.Client(url)
  await client.connect()
  try {
    await migratePostgres(onPostgres(client), { migrationsFolder: folder })
  } finally {
    await client.end()
  }
}

async function obey(order: Order): Promise<Outcome> {
  let [asked, refused] = [false, false]
  hooks.before = (what) => {
    if (!ASKS.includes(what) || asked) return
    asked = true
    if (order.at === 'lock') waitFor(order.go, '@waiting')
  }
  hooks.after = (what, _, failed) => {
    if (ASKS.includes(what) && failed) refused = true
  }
  if (order.at === 'start') waitFor(order.go, '@waiting')
  const run = order.do === 'visit' ? visit : migrate
  const outcome = await run(order).then(() => 'done', String)
  return { outcome, asked, refused }
}

say('@ready')
for await (const order of messages<Order>()) say(await obey(order))
