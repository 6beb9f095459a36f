/** Each alert of examples/deploy is fired by a fault of its kind, by a Prometheus that scrapes the processes with the faults. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statfsSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually } from '../postgres/support/eventually.ts'
import { temporaryFolder } from '../support/folders.ts'
import { freePort, type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { fullDisk } from './disks.ts'
import { notTested, shows } from './shown.ts'

const RULES = join(import.meta.dirname, '../../examples/deploy/alerts.yml')
const PROGRAM = join(import.meta.dirname, 'alerts-program.ts')
const PATIENCE_MS = 120_000

/** With short times, and with limits that a test reaches. */
const quickened = (rules: string): string =>
  rules
    .replaceAll(/\bfor: \w+/g, 'for: 1s')
    .replaceAll(/\[(5|15)m\]/g, '[60s]')
    .replaceAll(/offset (5|15)m/g, 'offset 60s')
    // A log that is emptied has 4 MiB.
    .replace('wal_size > 268435456', 'wal_size > 8388608')
    .replace('replication_lag > 60', 'replication_lag > 3')
    .replace('subscriber_lag > 300', 'subscriber_lag > 3')

const CONFIG = (rules: string, targets: Readonly<Record<string, number>>): string =>
  JSON.stringify({
    global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '500ms' },
    rule_files: [rules],
    scrape_configs: Object.entries(targets).map(([instance, port]) => ({
      job_name: instance,
      static_configs: [{ targets: [`127.0.0.1:${port}`], labels: { instance } }],
    })),
  })

/** The node exporter's figures for a file system, by the same system call. */
async function diskExporter(path: string) {
  const server = createServer((_, answer) => {
    const { bavail, blocks, bsize } = statfsSync(path)
    const lines = { avail: bavail * bsize, size: blocks * bsize }
    answer.setHeader('content-type', 'text/plain')
    answer.end(
      Object.entries(lines)
        .map(([name, bytes]) => `node_filesystem_${name}_bytes{mountpoint="/var/lib"} ${bytes}\n`)
        .join(''),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { port, [Symbol.dispose]: () => void server.close() }
}

interface Alert {
  readonly labels: { readonly alertname: string; readonly instance: string }
  readonly state: string
}

const isThere = spawnSync('prometheus', ['--version']).status === 0
if (!isThere) notTested('alerts fired by faults', 'prometheus is not installed (Debian: prometheus).')

test.skipIf(!isThere)('each fault fires its alert, and none fires without a fault', async () => {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(temporaryFolder())
  const ended = (child: ChildProcess): void => {
    stack.defer(async () => {
      if (child.exitCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    })
  }
  const targets: Record<string, number> = {}
  const begin = async (kind: string, place: string): Promise<ChildProcess> => {
    const port = await freePort()
    targets[kind] = port
    const child = spawn(process.execPath, [PROGRAM, kind, place, String(port)], {
      stdio: ['pipe', 'ignore', 'inherit'],
    })
    ended(child)
    return child
  }
  const server: PostgresServer = await startPostgres()
  stack.defer(() => server.stop())
  const disk = fullDisk.make()
  if (disk === undefined) notTested('alerts of a full disk', 'No file system can be mounted here.')
  else {
    stack.use(disk)
    targets['node exporter'] = stack.use(await diskExporter(disk.folder.path)).port
    await begin('full', disk.folder.path)
    const isServing = async (): Promise<boolean> =>
      (await fetch(`http://127.0.0.1:${targets.full}/metrics`).catch(() => undefined))?.ok === true
    await eventually('the database on the small file system is open', isServing, PATIENCE_MS)
    disk.fill(0, '')
  }
  await begin('well', stack.use(temporaryFolder()).path)
  await begin('neglected', stack.use(temporaryFolder()).path)
  await begin('locked', stack.use(temporaryFolder()).path)
  await begin('lost', server.url('postgres'))

  const rules = folder.write('alerts.yml', quickened(readFileSync(RULES, 'utf8')))
  const config = folder.write('prometheus.yml', CONFIG(rules, targets))
  const port = await freePort()
  const prometheus = spawn(
    'prometheus',
    [`--config.file=${config}`, `--storage.tsdb.path=${folder.file('data')}`, `--web.listen-address=127.0.0.1:${port}`],
    { stdio: 'ignore' },
  )
  ended(prometheus)
  const fired = new Map<string, Set<string>>()
  const look = async (): Promise<void> => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/alerts`).catch(() => undefined)
    if (answer?.ok !== true) return
    const { data } = (await answer.json()) as { data: { alerts: Alert[] } }
    for (const { labels, state } of data.alerts) {
      if (state === 'firing')
        fired.set(labels.instance, (fired.get(labels.instance) ?? new Set()).add(labels.alertname))
    }
  }
  const fires = (instance: string, ...alerts: string[]): Promise<void> =>
    eventually(
      `${instance} fires ${alerts}`,
      async () => {
        await look()
        return alerts.every((alert) => fired.get(instance)?.has(alert))
      },
      PATIENCE_MS,
    )

  if (disk !== undefined) await fires('full', 'MeshstoreNotWritable', 'MeshstoreProblem', 'MeshstoreErrors')
  if (disk !== undefined) await fires('node exporter', 'MeshstoreDiskFull')
  await fires('locked', 'MeshstoreQueueGrows', 'MeshstoreNoBackup')
  await fires('neglected', 'MeshstoreBackupOld', 'MeshstoreWalGrows')
  await fires('neglected', 'MeshstoreReplicationLate', 'MeshstoreSubscriberLate')
  await fires('lost', 'MeshstoreSlowCommits')
  await server.halt()
  await fires('lost', 'MeshstoreUnreadable')
  await server.restart()
  await fires('lost', 'MeshstoreFailover')
  // A slow machine is a fault of that kind.
  fired.get('well')?.delete('MeshstoreSlowCommits')
  expect([...(fired.get('well') ?? [])]).toEqual([])

  const all = readFileSync(RULES, 'utf8').match(/(?<=alert: )\w+/g) ?? []
  const seen = new Set([...fired.values()].flatMap((alerts) => [...alerts]))
  const left = all.filter((alert) => !seen.has(alert))
  expect(left).toEqual(disk === undefined ? expect.anything() : [])
  shows(`${all.length - left.length} of ${all.length} alerts fired`)
})
