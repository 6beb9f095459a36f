import type { ComparisonTable } from '../comparison-table.ts'
import type { Benchmark, Context } from '../context.ts'
import { NODES, nodeOf } from '../data.ts'
import { openStorage } from '../library.ts'
import { inFlight, READS, WRITES } from '../operations.ts'
import { contestant, type PostgresPeerModule } from '../peer.ts'
import { execute, NoServer, type Server, withDatabase, withServer } from '../postgres-server.ts'
import { closeAll, enterAll, operationsTable } from './peers.ts'

const CONNECTIONS = 8

const ENTRIES = [
  { name: 'meshstore', file: 'meshstore.ts' },
  { name: 'pg', file: 'pg.ts' },
  { name: 'postgres', file: 'postgres.ts' },
  { name: 'Drizzle', file: 'drizzle.ts' },
  { name: 'Kysely', file: 'kysely.ts' },
] as const

type Entry = (typeof ENTRIES)[number]

/** Each peer with a pool of its own on a database of its own, on one server. */
export const postgresPeers: Benchmark = {
  name: 'postgres-peers',
  run: async (context) => {
    try {
      return await withServer((server) => withDatabases(server, ENTRIES, (urls) => compared(context, server, urls)))
    } catch (error) {
      if (!(error instanceof NoServer)) throw error
      const notes = [`NOT MEASURED: ${error.message}`]
      return [{ title: 'PostgreSQL', columns: ENTRIES.map(({ name }) => name), rows: [], notes, peers: true }]
    }
  },
}

async function compared(
  context: Context,
  server: Server,
  urls: ReadonlyMap<Entry, string>,
): Promise<ComparisonTable[]> {
  const entered = await enterAll(ENTRIES, async (entry) => {
    const { open }: PostgresPeerModule = await import(new URL(`../peers/postgres/${entry.file}`, import.meta.url).href)
    return contestant(entry.name, await open(urls.get(entry) ?? '', CONNECTIONS))
  })
  const notes = [
    ...server.notes.map((note) => note.replace('; both sides SERIALIZABLE', '')),
    `${CONNECTIONS} connections each. Meshstore's are SERIALIZABLE; the peers' have the default, READ COMMITTED.`,
  ]
  const all = [...READS, ...WRITES]
  try {
    return [
      await operationsTable(context, 'PostgreSQL: one at a time', entered, all, false, notes),
      await operationsTable(context, 'PostgreSQL: 1,000 in flight', entered, inFlight(all, context.quick), true),
    ]
  } finally {
    await closeAll(entered)
  }
}

/** One for each, with the nodes in it. */
async function withDatabases<T>(
  server: Server,
  [first, ...rest]: readonly Entry[],
  work: (urls: ReadonlyMap<Entry, string>) => Promise<T>,
): Promise<T> {
  if (first === undefined) return work(new Map())
  return withDatabase(server, async (url) => {
    const filling = await openStorage(url)
    await filling.nodes.createMany(Array.from({ length: NODES }, (_, n) => nodeOf(n)))
    await filling.close()
    await execute(url, 'VACUUM ANALYZE nodes')
    return withDatabases(server, rest, (urls) => work(new Map([[first, url], ...urls])))
  })
}
