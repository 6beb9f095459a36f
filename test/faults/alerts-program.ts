/**
 * `alerts-program.ts KIND PLACE PORT`: a store with a fault, in a process of its own, since tracing events belong to a process.
 * Prometheus scrapes it at PORT. Ends with its input.
 */
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { instrument } from '../../src/opentelemetry-entry.ts'

const [kind = '', place = '', port = ''] = process.argv.slice(2)
const DAY_MS = 86_400_000
const LARGE_LOG = 12_582_912

const nodeOf = (nodeId: string) => ({ nodeId, interfaces: ['x'.repeat(200)], protocols: [] })
const nodesOf = (prefix: string, count: number) => Array.from({ length: count }, (_, at) => nodeOf(`${prefix}-${at}`))

function report(store: Meshstore): void {
  const exporter = new PrometheusExporter({
    host: '127.0.0.1',
    port: Number(port),
    withoutScopeInfo: true,
    withoutTargetInfo: true,
  })
  instrument(store, { meterProvider: new MeterProvider({ readers: [exporter] }), spans: false })
}

/** A database that is well. */
async function well(): Promise<void> {
  const store = await openStorage(join(place, 'mesh.db'))
  await store.backup(join(place, 'backup.db'))
  report(store)
  await forever(() => store.nodes.save(nodeOf('a')))
}

/** The last backup was made two weeks ago; a subscriber stands still; the place of the replica is gone; a reader holds the log. */
async function neglected(): Promise<void> {
  const [path, replica] = [join(place, 'mesh.db'), join(place, 'replica')]
  const before = await openStorage({ url: path, now: () => new Date(Date.now() - 14 * DAY_MS) })
  await before.backup(join(place, 'backup.db'))
  await before.close()
  const store = await openStorage({ url: path, replicate: { to: replica, everySeconds: 0.2 } })
  await store.flushReplica()
  const changes = store.changes()
  await changes.ready()
  await store.nodes.save(nodeOf('a'))
  await changes.next()
  rmSync(replica, { recursive: true })
  writeFileSync(replica, '')
  const reader = new Sqlite(path)
  reader.exec('BEGIN')
  reader.prepare('SELECT count(*) FROM nodes').get()
  report(store)
  for (let turn = 0; statSync(`${path}-wal`).size < LARGE_LOG; turn++)
    await store.nodes.saveMany(nodesOf(`${turn}`, 1_000))
  await forever(() => store.nodes.save(nodeOf('a')))
}

/** Another program holds the lock of the file. */
async function locked(): Promise<void> {
  const path = join(place, 'mesh.db')
  const store = await openStorage({ url: path, busyTimeoutMs: 300 })
  report(store)
  const other = new Sqlite(path)
  other.exec('BEGIN IMMEDIATE')
  await forever(() => Promise.allSettled(nodesOf('a', 2_000).map((node) => store.nodes.save(node))))
}

/** The disk is full: PLACE has little room. */
async function full(): Promise<void> {
  const store = await openStorage(join(place, 'mesh.db'))
  report(store)
  let turn = 0
  await forever(() => store.nodes.saveMany(nodesOf(`${turn++}`, 500)).catch(() => {}))
}

/** PLACE is the URL of a server where another program holds a row for 300 ms at a time. The server goes away, and comes back. */
async function lost(): Promise<void> {
  const store = await openStorage({ url: place, failoverMs: 300 })
  await store.nodes.save(nodeOf('a'))
  report(store)
  await forever(async () => {
    const other = new pg.Client(place)
    other.on('error', () => {})
    await other.connect()
    await other.query("BEGIN; UPDATE nodes SET started = true WHERE node_id = 'a'")
    const writing = store.nodes.save(nodeOf('a')).catch(() => {})
    await sleep(300)
    await other.query('COMMIT')
    await other.end()
    await writing
  })
}

async function forever(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    await work().catch(() => {})
    await sleep(50)
  }
}

process.stdin.on('end', () => process.exit()).resume()
const KINDS: Readonly<Record<string, () => Promise<void>>> = { well, neglected, locked, full, lost }
await KINDS[kind]?.()
