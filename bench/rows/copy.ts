/** A whole database copied, beside `pgloader`, which makes tables of its own and compares nothing. */
import { execFile } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { bundleOf, nodeId } from '../data.ts'
import { Sqlite } from '../driver.ts'
import { copyDatabase, openStorage } from '../library.ts'
import { NoServer, type Server, withDatabase, withServer } from '../postgres-server.ts'
import { perSecond, type Result } from '../result.ts'
import { summaryOf } from '../statistics.ts'

/** Nodes, and as many cached paths. */
const SIZE = { quick: 5_000, full: 100_000 }
const ROUNDS = { quick: 1, full: 3 }

const ROWS = {
  there: 'copy: SQLite to PostgreSQL, rows',
  back: 'copy: PostgreSQL to SQLite, rows',
  backup: 'backup of PostgreSQL, rows',
}

const run = promisify(execFile)

export const copy: Benchmark = {
  name: 'copy',
  run: async (context) => {
    try {
      return await withServer((server) => measured(context, server))
    } catch (error) {
      if (!(error instanceof NoServer)) throw error
      const notes = [`NOT MEASURED: ${error.message}`]
      return Object.values(ROWS).map((name) => ({ name, unit: '' as const, ours: summaryOf([]), targets: [], notes }))
    }
  },
}

async function measured(context: Context, server: Server): Promise<Result[]> {
  const size = context.quick ? SIZE.quick : SIZE.full
  const source = await filled(newFile(context, 'copy'), size)
  const version = await pgloaderVersion()
  const times: Record<'ours' | 'theirs' | 'back' | 'backup', number[]> = { ours: [], theirs: [], back: [], backup: [] }
  const notes: string[] = []
  const rounds = context.quick ? ROUNDS.quick : ROUNDS.full
  for (let round = 0; round < rounds; round++) {
    const last = round === rounds - 1
    const ours = async (): Promise<void> => {
      context.progress(ROWS.there)
      await withDatabase(server, async (url) => {
        times.ours.push(await timed(() => copyDatabase(source, url)))
        context.progress(ROWS.back)
        times.back.push(await timed(() => copyDatabase(url, newFile(context, 'back'))))
        await using store = await openStorage({ url, migrate: 'check' })
        context.progress(ROWS.backup)
        times.backup.push(await timed(() => store.backup(newFile(context, 'backup'))))
        if (last) notes.push(`meshstore: ${await faithfulness(source, url)}`)
      })
    }
    const theirs = async (): Promise<void> => {
      if (version === undefined) return
      context.progress('pgloader')
      await withDatabase(server, async (url) => {
        times.theirs.push(await timed(() => pgloader(context, source, url)))
        if (last) notes.push(`${version}: ${await faithfulness(source, url)}`)
      })
    }
    for (const side of round % 2 === 0 ? [ours, theirs] : [theirs, ours]) await side()
  }
  if (version === undefined)
    notes.push('pgloader is not installed (apt-get install pgloader): nothing to compare with.')
  const rows = 2 * size
  const ratio = times.theirs.map((took, round) => took / (times.ours[round] ?? Number.NaN))
  const compared = version !== undefined && {
    raw: perSecond(summaryOf(times.theirs), rows),
    ratio: summaryOf(ratio),
  }
  return [
    {
      name: ROWS.there,
      unit: '/s',
      ours: perSecond(summaryOf(times.ours), rows),
      ...compared,
      targets: [],
      notes: [
        ...server.notes.map((note) => note.replace('; both sides SERIALIZABLE', '')),
        'raw is pgloader, with its usual settings and tables of its own.',
        ...notes,
      ],
    },
    { name: ROWS.back, unit: '/s', ours: perSecond(summaryOf(times.back), rows), targets: [] },
    { name: ROWS.backup, unit: '/s', ours: perSecond(summaryOf(times.backup), rows), targets: [] },
  ]
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

/** Times with microseconds, as Python writes them. */
async function filled(path: string, size: number): Promise<string> {
  await (await openStorage(path)).close()
  const raw = new Sqlite(path)
  const node = raw.prepare('INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?)')
  const cached = raw.prepare('INSERT INTO path_cache VALUES (?, ?, ?, ?, ?, ?, ?)')
  raw.exec('BEGIN')
  for (let n = 0; n < size; n++) {
    const at = 1_790_000_000.123_456 + n * 1.000_001
    node.run(nodeId(n), '["wlan0","mesh1"]', '["batman-adv"]', n % 2, n % 100, at, at + 0.5)
    const bundle = JSON.stringify(bundleOf(n))
    cached.run(`${nodeId(n)}:z:3`, nodeId(n), 'z', 3, bundle, at, at + 30)
  }
  raw.exec('COMMIT')
  raw.close()
  return path
}

async function pgloaderVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await run('pgloader', ['--version'])
    return `pgloader ${/version "(.*?)"/.exec(stdout)?.[1] ?? ''}`.trim()
  } catch {
    return undefined
  }
}

async function pgloader({ folder }: Context, source: string, url: string): Promise<void> {
  const command = join(folder, 'pgloader.load')
  const load = `LOAD DATABASE FROM sqlite://${source} INTO ${url.replace(/^postgres:/, 'postgresql:')}
    INCLUDING ONLY TABLE NAMES LIKE 'nodes', 'policies', 'path_cache';`
  // Not as an argument, which everybody on the machine can read.
  writeFileSync(command, load, { mode: 0o600 })
  try {
    await run('pgloader', ['--root-dir', folder, command], { maxBuffer: 1e8 })
  } finally {
    rmSync(command)
  }
}

/** The columns' types after the copy, and the number of times that differ. */
async function faithfulness(source: string, url: string): Promise<string> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const columns = await client.query<{ name: string; type: string }>(
      `SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_name = 'nodes'`,
    )
    const types = ['started', 'created_at', 'interfaces'].map((column) => {
      return `${column} ${columns.rows.find(({ name }) => name === column)?.type}`
    })
    const there = await client.query<{ id: string; at: number }>('SELECT node_id AS id, created_at AS at FROM nodes')
    const raw = new Sqlite(source, { readonly: true })
    const before = new Map(raw.prepare<[], [string, number]>('SELECT node_id, created_at FROM nodes').raw().all())
    raw.close()
    const moved = there.rows.map(({ id, at }) => Math.abs(at - (before.get(id) ?? Number.NaN))).filter((by) => by !== 0)
    const most = moved.reduce((largest, by) => Math.max(largest, by), 0)
    const count = (value: number): string => value.toLocaleString('en')
    return `${types.join(', ')}; ${count(moved.length)} of ${count(before.size)} times changed${most > 0 ? `, by up to ${most.toFixed(0)} s` : ''}.`
  } finally {
    await client.end()
  }
}
