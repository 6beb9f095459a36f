/**
 * Work that holds a connection while the primary dies and its standby takes over: backups, copies, moves, migrations,
 * sweeps, openings. Each ends at once with UNAVAILABLE and leaves nothing by half, or goes on.
 */
import { existsSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { copyDatabase, type Meshstore, openStorage, StorageError, verifyBackup } from '../../src/index.ts'
import { inspect } from '../../src/open/migrate.ts'
import { documentOf, runCommand } from '../cli/support/command.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { freeze } from '../postgres/support/frozen.ts'
import { FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { bundle, manyNodes, node, numbered, pathKey, policy } from '../support/samples.ts'
import { shows } from './shown.ts'

const ROWS = 3_000

const hostOf = (url: string): string => new URL(url).host

async function filled(path: string, prefix: string): Promise<Meshstore> {
  const store = await openStorage(path)
  await store.nodes.createMany(manyNodes(ROWS, prefix))
  await store.policies.create(policy('first'))
  return store
}

const refusalOf = (work: Promise<unknown>): Promise<StorageError> =>
  work.then(
    () => Promise.reject(new Error('It was done.')),
    (error: unknown) => (error instanceof StorageError ? error : Promise.reject(error)),
  )

describePostgres('while the primary dies', () => {
  let primary: PostgresServer
  let standby: PostgresServer
  let folder: TemporaryFolder
  beforeEach(async () => {
    folder = temporaryFolder()
    primary = await startPostgres()
    standby = await primary.standby()
    await primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    await primary.ask('SELECT pg_reload_conf()')
    await eventually('the standby is synchronous', async () => {
      const [row] = await primary.ask('SELECT sync_state FROM pg_stat_replication')
      return row?.sync_state === 'sync'
    })
  })
  afterEach(async () => {
    await standby.stop()
    await primary.stop()
    folder[Symbol.dispose]()
  })

  const promote = (): Promise<unknown> => standby.ask('SELECT pg_promote()')
  const created = async (database: string): Promise<string> => {
    await primary.ask(`CREATE DATABASE ${database}`)
    return database
  }
  /** The URL of both. */
  const urlOf = (database: string, first = hostOf(primary.url(database))): string => {
    const url = primary.url(database)
    return url.replace(hostOf(url), `${first},${hostOf(standby.url(database))}`)
  }

  test('a backup, a copy and a move end with UNAVAILABLE, leave nothing by half, and are done the next time', async () => {
    const urls = await Promise.all(['backed', 'copied', 'moved'].map(created))
    const [backed = '', copied = '', moved = ''] = urls
    const proxies = await Promise.all(urls.map((database) => FaultyProxy.before(primary.url(database))))
    await using proxyOfBackup = proxies[0] as FaultyProxy
    await using proxyOfCopy = proxies[1] as FaultyProxy
    await using proxyOfMove = proxies[2] as FaultyProxy
    const through = (database: string, proxy: FaultyProxy): string => urlOf(database, hostOf(proxy.url))
    await using server = await filled(through(backed, proxyOfBackup), 'backed')
    const file = folder.file('mesh.db')
    await (await filled(folder.file('copied.db'), 'copied')).close()
    await using store = await filled(file, 'moved')

    const backup = folder.file('first.sqlite')
    const copying = (): Promise<unknown> => copyDatabase(folder.file('copied.db'), through(copied, proxyOfCopy))
    const moving = (): Promise<unknown> => store.moveTo(through(moved, proxyOfMove))
    const held = [
      proxyOfBackup.hold('"policies" WHERE'),
      proxyOfCopy.hold(numbered('copied', ROWS - 1)),
      proxyOfMove.hold(numbered('moved', ROWS - 1)),
    ]
    const refused = Promise.all([server.backup(backup), copying(), moving()].map(refusalOf))
    await Promise.race([Promise.all(held.map(({ reached }) => reached)), refused])
    await primary.halt()
    await promote()
    for (const each of held) each.open()

    const [ofBackup, ofCopy, ofMove] = await refused
    expect([ofBackup, ofCopy, ofMove].map((error) => error?.code)).toEqual(Array(3).fill('UNAVAILABLE'))
    expect(ofMove?.message).toMatch(/with it the lock of the move.*Nothing was lost.*meshstore move --resume/)
    expect(existsSync(backup)).toBe(false)
    await using there = await openStorage(urlOf(copied))
    expect(await there.nodes.count()).toBe(0)
    // The file serves as before, and what is written meanwhile is moved, too.
    await store.nodes.create(node('meanwhile'))

    await server.backup(folder.file('second.sqlite'))
    expect((await verifyBackup(folder.file('second.sqlite'))).tables.nodes.rows).toBe(ROWS)
    await copying()
    expect(await there.nodes.count()).toBe(ROWS)
    await moving()
    await using target = await openStorage(urlOf(moved))
    expect(await target.nodes.count()).toBe(ROWS + 1)
    expect(await target.nodes.get('meanwhile')).toBeDefined()
    shows('a backup, a copy and a move: UNAVAILABLE, nothing by half, done the next time')
  })

  test('`meshstore move` says how to go on, and goes on with --resume', async () => {
    const database = await created('moved')
    await using proxy = await FaultyProxy.before(primary.url(database))
    const url = urlOf(database, hostOf(proxy.url))
    const file = folder.file('mesh.db')
    await (await filled(file, 'moved')).close()
    const move = (...more: string[]) => runCommand(['move', '--from', file, '--to', url, '--yes', ...more])
    const held = proxy.hold(numbered('moved', ROWS - 1))
    const stopped = move()
    await Promise.race([held.reached, stopped])
    await primary.halt()
    await promote()
    held.open()
    const { code, stderr } = await stopped
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/Nothing was lost\. Go on with meshstore move --resume/)
    // Without the word it is refused: a second move must not begin by accident.
    expect((await move()).stderr).toContain('--resume')
    const resumed = await move('--resume', '--json')
    expect(documentOf(resumed)).toMatchObject({ tables: { nodes: { rows: ROWS } } })
  })

  test('migrations are each applied once', async () => {
    const database = await created('migrated')
    await using proxy = await FaultyProxy.before(primary.url(database))
    const url = urlOf(database, hostOf(proxy.url))
    const held = proxy.hold('CREATE TABLE "policies"')
    const opening = openStorage(url)
    await Promise.race([held.reached, opening])
    await primary.halt()
    await promote()
    held.open()
    await using store = await opening
    await store.nodes.create(node('there'))
    const { pending, applied } = await inspect(url)
    expect(pending).toEqual([])
    expect(applied.length).toBeGreaterThan(1)
    expect(new Set(applied).size).toBe(applied.length)
  })

  test('an opening waits for a primary, and a sweep that was asked for goes on', async () => {
    const url = urlOf(await created('swept'))
    await using store = await openStorage({ url, pathCache: { ttlSeconds: 1, sweepSeconds: 86_400 } })
    const keys = Array.from({ length: 50 }, (_, at) => pathKey('from', `to-${at}`))
    for (const key of keys) await store.pathCache.set(key, bundle(key.source, key.destination))
    await eventually('all have expired', async () => (await store.pathCache.get(keys.at(-1) as never)) === undefined)
    await primary.halt()
    const sweeping = store.pathCache.sweep()
    const opening = openStorage(`${url}?connect_timeout=120`)
    const writing = store.nodes.create(node('first'))
    await promote()
    const [{ expired }] = await Promise.all([sweeping, writing])
    expect(expired).toBe(keys.length)
    await using opened = await opening
    expect(await opened.nodes.get('first')).toBeDefined()
    expect((await store.health()).canWrite).toBe(true)
  })

  test('no connection to a primary that stood still is left', async () => {
    const url = urlOf(await created('pooled'))
    await using store = await openStorage({ url, pool: { max: 4 } })
    const reading = () => Promise.all(Array.from({ length: 8 }, (_, at) => store.nodes.list({ limit: at + 1 })))
    await reading()
    const sessions = async (server: PostgresServer): Promise<number> => {
      const rows = await server.ask("SELECT 1 FROM pg_stat_activity WHERE datname = 'pooled'")
      return rows.length
    }
    expect(await sessions(primary)).toBeGreaterThan(0)
    const frozen = await freeze(primary, 120_000)
    await promote()
    await store.nodes.create(node('first'))
    await reading()
    frozen[Symbol.dispose]()
    await eventually('the old primary has none', async () => (await sessions(primary)) === 0, 60_000)
    expect(await sessions(standby)).toBeGreaterThan(0)
  })
})
