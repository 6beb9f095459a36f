/** The same as `growth.ts` on PostgreSQL, and a move there. */
import { copyFileSync, globSync, rmSync } from 'node:fs'
import type { MeshNode, Meshstore } from '../../src/index.ts'
import type { Benchmark, Context } from '../context.ts'
import { newFile } from '../context.ts'
import { farNode, largeFile, NODES, nodeOf } from '../data.ts'
import { Sqlite } from '../driver.ts'
import { type Growth, grown, type Operation, resultOf, type Sized } from '../growth.ts'
import { openStorage } from '../library.ts'
import { NoServer, type Server, withDatabase, withServer } from '../postgres-server.ts'
import { decodedNode, type NodeRow, RawPostgres } from '../raw-postgres.ts'
import { type NodeRow as StoredRow, nodeOf as storedNode } from '../raw-store.ts'
import type { Result } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const ROWS = { quick: 20_000, full: 1_000_000, long: 5_000_000 }
const READ_LIMIT = 2
const BATCH = 5_000
/** Each takes a minute in the large database. */
const MOVES = 1

interface Side extends Sized {
  readonly url: string
  readonly store: Meshstore
  readonly raw: RawPostgres
  readonly backupFile: string
}

const rowsOf = async ({ raw }: Side, text: string, values: readonly unknown[]): Promise<MeshNode[]> => {
  const { rows } = await raw.pool.query<NodeRow>({ name: 'page', text, values: [...values] })
  return rows.map(decodedNode)
}
const PAGE = 'SELECT * FROM nodes WHERE node_id > $1 ORDER BY node_id LIMIT $2'

const OPERATIONS: readonly Operation<Side>[] = [
  {
    name: 'read by id',
    calls: 500,
    limit: READ_LIMIT,
    ours: (side, n) => side.store.nodes.get(farNode(side, n)),
    byHand: (side, n) => side.raw.node(farNode(side, n)),
  },
  {
    name: 'list a page of 100',
    calls: 50,
    ours: (side, n) => side.store.nodes.list({ after: farNode(side, n, 100), limit: 100 }),
    byHand: (side, n) => rowsOf(side, PAGE, [farNode(side, n, 100), 100]),
  },
  {
    name: 'stats()',
    calls: 1,
    ours: ({ store }) => store.stats(),
    byHand: ({ raw }) =>
      raw.execute(
        `SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM policies), (SELECT count(*) FROM path_cache),
           (SELECT count(*) FROM path_cache WHERE expires_at <= extract(epoch FROM now()))`,
      ),
  },
  {
    name: 'open and first row',
    calls: 3,
    ours: async ({ url }) => {
      await using store = await openStorage(url)
      return store.nodes.list({ limit: 1 })
    },
    byHand: async ({ url }) => {
      const raw = new RawPostgres(url, 1)
      await raw.execute('SELECT * FROM nodes ORDER BY node_id LIMIT 1')
      await raw.close()
    },
  },
  {
    name: 'sweep, nothing expired',
    calls: 20,
    ours: ({ store }) => store.pathCache.sweep(),
    byHand: ({ raw }) => raw.execute('DELETE FROM path_cache WHERE expires_at <= extract(epoch FROM now())'),
  },
  {
    name: 'backup',
    calls: 1,
    rounds: 2,
    ours: async ({ store, backupFile }) => {
      await store.backup(backupFile)
      removeBackup(backupFile)
    },
    byHand: async (side) => {
      await copyToFile(side)
      removeBackup(side.backupFile)
    },
  },
]

/** With its manifest. */
function removeBackup(file: string): void {
  for (const each of globSync(`${file}*`)) rmSync(each)
}

/** By hand: all nodes, page by page in one snapshot, into a new file. */
async function copyToFile({ raw, backupFile }: Side): Promise<void> {
  const file = new Sqlite(backupFile)
  const client = await raw.pool.connect()
  try {
    file.exec('CREATE TABLE nodes (node_id TEXT PRIMARY KEY, a TEXT, b TEXT, c INTEGER, d INTEGER, e REAL, f REAL)')
    const insert = file.prepare('INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?)')
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await client.query('DECLARE every CURSOR FOR SELECT * FROM nodes')
    file.exec('BEGIN')
    for (;;) {
      const { rows } = await client.query<NodeRow>(`FETCH ${BATCH} FROM every`)
      if (rows.length === 0) break
      for (const row of rows) {
        const lists = [JSON.stringify(row.interfaces), JSON.stringify(row.protocols)]
        insert.run(row.node_id, ...lists, row.started ? 1 : 0, row.routes_discovered, row.created_at, row.updated_at)
      }
    }
    await client.query('COMMIT')
    file.exec('COMMIT')
  } finally {
    client.release()
    file.close()
  }
}

interface MoveSide extends Sized {
  readonly file: string
}

/** Milliseconds until the store has moved to an empty database of the server. */
function move(context: Context, server: Server, { file }: MoveSide): Promise<number> {
  const source = newFile(context, 'move')
  copyFileSync(file, source)
  return withDatabase(server, async (url) => {
    await using store = await openStorage(source)
    const begun = performance.now()
    await store.moveTo(url)
    return performance.now() - begun
  }).finally(() => removeBackup(source))
}

/** Milliseconds for the same rows by hand, into tables that are there. */
function copyByHand(server: Server, { file }: MoveSide): Promise<number> {
  return withDatabase(server, async (url) => {
    await (await openStorage(url)).close()
    const [source, raw] = [new Sqlite(file, { readonly: true }), new RawPostgres(url, 1)]
    const begun = performance.now()
    let batch: MeshNode[] = []
    for (const row of source.prepare<[], StoredRow>('SELECT * FROM nodes').iterate()) {
      batch.push(storedNode(row))
      if (batch.length < BATCH) continue
      await raw.createNodes(batch)
      batch = []
    }
    if (batch.length > 0) await raw.createNodes(batch)
    const took = performance.now() - begun
    source.close()
    await raw.close()
    return took
  })
}

async function moves(context: Context, server: Server, rows: number): Promise<Result> {
  const [small, big] = [
    { rows: NODES, file: await largeFile(newFile(context, 'few'), NODES) },
    { rows, file: await largeFile(newFile(context, 'many'), rows) },
  ]
  const growths: Growth[] = []
  for (let round = 0; round < MOVES; round++) {
    const ours = await move(context, server, small)
    const raw = await copyByHand(server, small)
    growths.push({
      ours: (await move(context, server, big)) / ours,
      raw: (await copyByHand(server, big)) / raw,
    })
  }
  return resultOf('move from SQLite', small, big, growths)
}

async function sides(context: Context, server: Server, rows: number): Promise<Result[]> {
  return withDatabase(server, (few) =>
    withDatabase(server, async (many) => {
      const [small, big] = [await filled(context, few, NODES), await filled(context, many, rows)]
      try {
        const results: Result[] = []
        for (const operation of OPERATIONS) {
          context.progress(`PostgreSQL: ${operation.name}`)
          results.push(await grown(operation, small, big, operation.rounds ?? (context.quick ? 3 : 40)))
        }
        return results
      } finally {
        for (const { store, raw } of [small, big]) {
          await raw.close()
          await store.close()
        }
      }
    }),
  )
}

async function filled(context: Context, url: string, rows: number): Promise<Side> {
  const store = await openStorage(url)
  const raw = new RawPostgres(url, 1)
  for (let first = 0; first < rows; first += BATCH) {
    await raw.createNodes(Array.from({ length: Math.min(BATCH, rows - first) }, (_, n) => nodeOf(first + n)))
  }
  // Autovacuum would do it in the minutes after, while the rows are measured.
  await raw.execute('VACUUM ANALYZE nodes')
  return { url, rows, store, raw, backupFile: newFile(context, 'backup') }
}

export const growthOnPostgres: Benchmark = {
  name: 'growth-postgres',
  run: async (context) => {
    const rows = context.quick ? ROWS.quick : context.long ? ROWS.long : ROWS.full
    try {
      return await withServer(async (server) => {
        context.progress(`PostgreSQL: writing ${rows.toLocaleString('en')} rows`)
        const results = await sides(context, server, rows)
        context.progress('PostgreSQL: moves')
        return [...results, await moves(context, server, rows)].map((result) => ({
          ...result,
          name: `PostgreSQL: ${result.name}`,
        }))
      })
    } catch (error) {
      if (!(error instanceof NoServer)) throw error
      const notes = [`NOT MEASURED: ${error.message}`]
      return [{ name: 'PostgreSQL: growth', unit: '×', ours: summaryOf([]), targets: [], notes }]
    }
  },
}
