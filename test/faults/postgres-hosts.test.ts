/** A URL with two hosts, a primary and its synchronous standby: the primary dies, or stands still, and the standby takes over. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { check } from '../../src/check/index.ts'
import { openStorage } from '../../src/index.ts'
import { wrong } from '../check/support/sound.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { freeze } from '../postgres/support/frozen.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { countedIn, counting, LANES } from './counting.ts'
import { shows } from './shown.ts'

/** Longer than this suite waits for a standby that takes over. */
const FOR_LONG_MS = 120_000

/** The limit of a statement must not end the wait for a server that stands still. */
const NO_LIMIT = `&statement_timeout=${FOR_LONG_MS}`

const portOf = (server: PostgresServer): string => new URL(server.url('postgres')).port

/** The URL of both, in this order. */
function urlOf(first: PostgresServer, second: PostgresServer, more = ''): string {
  const url = new URL(first.url('postgres'))
  return `${url.href.replace(url.host, `${url.host},127.0.0.1:${portOf(second)}`)}?target_session_attrs=read-write${more}`
}

describePostgres('two hosts in a URL', () => {
  let primary: PostgresServer
  let standby: PostgresServer
  beforeEach(async () => {
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
  })

  const promote = (): Promise<unknown> => standby.ask('SELECT pg_promote()')

  async function lost(away: () => Promise<Disposable | undefined>, limits = NO_LIMIT): Promise<void> {
    // The standby comes first: the store looks for the primary.
    await using store = await openStorage({ url: urlOf(standby, primary, limits), pool: { max: 4 } })
    const changes = store.changes()
    await changes.ready()
    const counted = counting(store)
    await eventually('some writes are there', () => counted.acknowledged() > 50)
    using failovers = record('failover', 'asyncEnd')
    using _ = await away()
    await promote()
    const before = counted.acknowledged()
    await eventually('it goes on', () => counted.acknowledged() > before + 50, 60_000)
    expect(failovers.events.length).toBeGreaterThan(0)
    for (const { milliseconds } of failovers.events) expect(milliseconds).toBeGreaterThan(0)
    expect(await counted.stop()).toEqual([])
    expect(await countedIn(store)).toBe(counted.acknowledged())
    // The subscriber has missed nothing: as many changes as calls, and the counters' beginnings.
    for (let read = 0; read < counted.acknowledged() + LANES; read++)
      expect((await changes.next()).value).toMatchObject({ table: 'nodes' })
    await store.nodes.create(node('last'))
    expect((await changes.next()).value).toMatchObject({ key: 'last' })
    const { problems, ...health } = await store.health()
    expect(health).toMatchObject({ canRead: true, canWrite: true })
    // The new primary has no standby yet.
    expect(problems.map(({ message }) => message)).toEqual([
      expect.stringContaining('No standby is synchronous'),
      expect.stringContaining('wal_sender_timeout is 60000 ms'),
    ])
    shows(`${counted.acknowledged()} increments, each done once and heard of once, no error`)
  }

  test('the primary dies under load', () => lost(() => primary.halt().then(() => undefined)))

  test('the primary stands still under load', () => lost(() => freeze(primary, FOR_LONG_MS)))

  test('the primary stands still for longer than a statement may take', () =>
    lost(() => freeze(primary, FOR_LONG_MS), '&statement_timeout=100&connect_timeout=1'))

  test('a commit that the standby did not get is not acknowledged before it has got it', async () => {
    await using store = await openStorage(urlOf(primary, standby))
    await using blind = await openStorage({ url: urlOf(primary, standby), outcomeTokens: false })
    await store.nodes.createMany([node('first'), node('second')])
    const waiting = async (): Promise<unknown[]> =>
      (await primary.ask("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")).map(({ pid }) => pid)
    const cancel = async (pids: readonly unknown[]): Promise<void> => {
      await primary.ask(`SELECT pg_cancel_backend(pid) FROM unnest(ARRAY[${pids}]) AS pid`)
    }
    const frozen = await freeze(standby, FOR_LONG_MS)
    try {
      let isSettled = false
      const counted = store.nodes.recordRoutes('first').finally(() => {
        isSettled = true
      })
      await eventually('the commit waits', async () => (await waiting()).length === 1, 60_000)
      const [pid] = await waiting()
      await cancel([pid])
      await eventually('the claim waits', async () => (await waiting()).some((other) => other !== pid), 60_000)
      expect(isSettled).toBe(false)
      const claims = await waiting()
      const unknown = blind.nodes.recordRoutes('second')
      await eventually('the other commit waits', async () => (await waiting()).length === 2, 60_000)
      await cancel((await waiting()).filter((each) => !claims.includes(each)))
      await expect(unknown).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' })
      frozen[Symbol.dispose]()
      expect((await counted).routesDiscovered).toBe(1)
    } finally {
      frozen[Symbol.dispose]()
    }
  })

  test('a check warns of settings with which a failover loses something, or takes long', async () => {
    await (await openStorage(urlOf(primary, standby))).close()
    const settings = async () => wrong(await check(urlOf(standby, primary))).map(({ message }) => message)
    expect(await settings()).toEqual([expect.stringContaining('wal_sender_timeout is 60000 ms')])
    await primary.ask("ALTER SYSTEM SET synchronous_standby_names = ''")
    await primary.ask('ALTER SYSTEM SET wal_sender_timeout = 5000')
    await primary.ask('SELECT pg_reload_conf()')
    await eventually('the settings are read', async () => (await settings())[0]?.includes('No standby') === true)
    // With one host nothing is said of a cluster.
    expect(wrong(await check(primary.url('postgres')))).toEqual([])
  })

  test('without a primary, an opening says what each host answered', async () => {
    await (await openStorage(urlOf(primary, standby))).close()
    await primary.halt()
    await expect(openStorage(urlOf(primary, standby, '&connect_timeout=5'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `No primary was found: 127.0.0.1:${portOf(primary)} failed (ECONNREFUSED); 127.0.0.1:${portOf(standby)} is a replica. Nothing was written. Check the cluster, then try again.`,
    })
  })
})
