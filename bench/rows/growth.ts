import { globSync, rmSync } from 'node:fs'
import type { Meshstore } from '../../src/index.ts'
import type { Benchmark } from '../context.ts'
import { newFile } from '../context.ts'
import { farNode, largeFile, NODES } from '../data.ts'
import { grown, type Operation, type Sized } from '../growth.ts'
import { openStorage } from '../library.ts'
import { RawStore } from '../raw-store.ts'
import type { Result } from '../result.ts'

const ROWS = { quick: 50_000, full: 1_000_000, long: 5_000_000 }
const READ_LIMIT = 2

interface Side extends Sized {
  readonly file: string
  readonly store: Meshstore
  readonly raw: RawStore
}

const OPERATIONS: readonly Operation<Side>[] = [
  {
    name: 'read by id',
    calls: 4_000,
    limit: READ_LIMIT,
    ours: (side, n) => side.store.nodes.get(farNode(side, n)),
    byHand: (side, n) => side.raw.node(farNode(side, n)),
  },
  {
    name: 'list a page of 100',
    calls: 50,
    ours: (side, n) => side.store.nodes.list({ after: farNode(side, n, 100), limit: 100 }),
    byHand: (side, n) => side.raw.nodes(farNode(side, n, 100), 100),
  },
  {
    name: 'stats()',
    calls: 1,
    ours: ({ store }) => store.stats(),
    byHand: ({ raw }) =>
      raw.raw
        .prepare(
          `SELECT (SELECT count(*) FROM nodes), (SELECT count(*) FROM policies), (SELECT count(*) FROM path_cache),
            (SELECT count(*) FROM path_cache WHERE expires_at <= unixepoch())`,
        )
        .get(),
  },
  {
    name: 'open and first row',
    calls: 3,
    ours: async ({ file }) => {
      await using store = await openStorage(file)
      return store.nodes.list({ limit: 1 })
    },
    byHand: ({ file }) => {
      const raw = new RawStore(file, 'full')
      const rows = raw.nodes('', 1)
      raw.close()
      return rows
    },
  },
  {
    name: 'sweep, nothing expired',
    calls: 20,
    ours: ({ store }) => store.pathCache.sweep(),
    byHand: ({ raw }) => raw.raw.prepare('DELETE FROM path_cache WHERE expires_at <= unixepoch()').run(),
  },
  {
    name: 'backup',
    calls: 1,
    rounds: 3,
    ours: async ({ file, store }) => {
      await store.backup(`${file}.backup`)
      removeBackup(`${file}.backup`)
    },
    byHand: ({ file, raw }) => {
      raw.raw.prepare('VACUUM INTO ?').run(`${file}.backup`)
      removeBackup(`${file}.backup`)
    },
  },
]

/** With its manifest. */
function removeBackup(file: string): void {
  for (const each of globSync(`${file}*`)) rmSync(each)
}

/** Divides the time of a call in a large file by its time in a small one, and does the same for the raw driver. */
export const growth: Benchmark = {
  name: 'growth',
  run: async (context) => {
    const rows = context.quick ? ROWS.quick : context.long ? ROWS.long : ROWS.full
    context.progress(`writing ${rows.toLocaleString('en')} rows`)
    const open = async (name: string, count: number): Promise<Side> => {
      const file = await largeFile(newFile(context, name), count)
      return { file, rows: count, store: await openStorage(file), raw: new RawStore(file, 'full') }
    }
    const [small, big] = [await open('small', NODES), await open('big', rows)]
    try {
      const results: Result[] = []
      for (const operation of OPERATIONS) {
        context.progress(operation.name)
        results.push(await grown(operation, small, big, operation.rounds ?? (context.quick ? 10 : 40)))
      }
      return results
    } finally {
      for (const { store, raw } of [small, big]) {
        raw.close()
        await store.close()
      }
    }
  },
}
