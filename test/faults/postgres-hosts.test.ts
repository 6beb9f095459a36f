/** A URL with two hosts, a primary and its synchronous standby: the primary dies, or stands still, and the standby takes over. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { freeze } from '../postgres/support/frozen.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node } from '../support/samples.ts'
import { shows } from './shown.ts'

const portOf = (server: PostgresServer): string => new URL(server.url('postgres')).port

/** The URL of both, in this order. */
function urlOf(first: PostgresServer, second: PostgresServer, more = ''): string {
  const url = new URL(first.url('postgres'))
  return `${url.href.replace(url.host, `${url.host},127.0.0.1:${portOf(second)}`)}?target_session_attrs=read-write${more}`
}

/** Increments a counter, one call after the other, until it is stopped. */
function counting(store: Meshstore): { readonly acknowledged: () => number; stop(): Promise<unknown[]> } {
  let acknowledged = 0
  let goesOn = true
  const errors: unknown[] = []
  const lane = async (id: string): Promise<void> => {
    await store.nodes.create(node(id))
    while (goesOn) {
      await store.nodes.recordRoutes(id).then(
        () => acknowledged++,
        (error) => errors.push(error),
      )
    }
  }
  const lanes = [1, 2, 3, 4].map((at) => lane(`counted-${at}`))
  return {
    acknowledged: () => acknowledged,
    stop: async () => {
      goesOn = false
      await Promise.all(lanes)
      return errors
    },
  }
}

const countedIn = async (store: Meshstore): Promise<number> =>
  (await store.nodes.list()).reduce((sum, { routesDiscovered }) => sum + routesDiscovered, 0)

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

  async function lost(away: () => Promise<Disposable | undefined>): Promise<void> {
    // The standby comes first: the store looks for the primary.
    await using store = await openStorage({ url: urlOf(standby, primary), pool: { max: 4 } })
    const counted = counting(store)
    await eventually('some writes are there', () => counted.acknowledged() > 50)
    using _ = await away()
    await promote()
    const before = counted.acknowledged()
    await eventually('it goes on', () => counted.acknowledged() > before + 50, 60_000)
    const transferred = await store.transaction(async (tx) => (await tx.nodes.recordRoutes('counted-1')).nodeId)
    expect(transferred).toBe('counted-1')
    expect(await counted.stop()).toEqual([])
    expect(await countedIn(store)).toBe(counted.acknowledged() + 1)
    shows(`${counted.acknowledged()} increments, each done once, no error`)
  }

  test('the primary dies under load', () => lost(() => primary.halt().then(() => undefined)))

  test('the primary stands still under load', () => lost(() => freeze(primary)))

  test('without a primary, an opening says what each host answered', async () => {
    await (await openStorage(urlOf(primary, standby))).close()
    await primary.halt()
    await expect(openStorage(urlOf(primary, standby, '&connect_timeout=1'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `No primary was found: 127.0.0.1:${portOf(primary)} refused (ECONNREFUSED); 127.0.0.1:${portOf(standby)} is a replica. Nothing was written. Check the cluster, then try again.`,
    })
  })
})
