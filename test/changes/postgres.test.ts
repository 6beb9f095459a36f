/** On PostgreSQL neither numbers nor the ids of transactions are given in the order of the commits. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { asSoonAsAvailable, eventually } from '../postgres/support/eventually.ts'
import { FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { SwappingProxy } from '../postgres/support/swapping-proxy.ts'
import { type OpenStore, postgres } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { gate } from '../support/gate.ts'
import { manyNodes, node } from '../support/samples.ts'
import { logOf } from './support/log.ts'
import { committed, subscribed, take, words } from './support/reading.ts'

/** A client of another program's, with the rights of the store's role. */
class Client implements AsyncDisposable {
  readonly #client: pg.Client

  private constructor(client: pg.Client) {
    this.#client = client
  }

  static async of({ url }: { readonly url: string }): Promise<Client> {
    const client = new pg.Client(url)
    await client.connect()
    return new Client(client)
  }

  async run(...statements: string[]): Promise<pg.QueryResult> {
    let result: pg.QueryResult | undefined
    for (const sql of statements) result = await this.#client.query(sql)
    if (result === undefined) throw new Error('There is nothing to run.')
    return result
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client.end()
  }
}

const insert = (nodeId: string): string =>
  `INSERT INTO nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at)
   VALUES ('${nodeId}', '[]', '[]', false, 0, 1, 1)`
const remove = (nodeId: string): string => `DELETE FROM nodes WHERE node_id = '${nodeId}'`
const rename = (nodeId: string): string => `UPDATE nodes SET routes_discovered = 1 WHERE node_id = '${nodeId}'`
const MANUAL = { pathCache: { invalidation: 'manual' } } as const
const READ_COMMITTED = 'BEGIN ISOLATION LEVEL READ COMMITTED'

/** A reader that goes by numbers alone: it takes everything behind the last number that it has seen. */
class ByNumber {
  readonly #opened: OpenStore
  #last = 0

  constructor(opened: OpenStore) {
    this.#opened = opened
  }

  async read(): Promise<string[]> {
    const rows = (await this.#opened.other.rows('meshstore_changes')).filter(({ seq }) => Number(seq) > this.#last)
    this.#last = Math.max(this.#last, ...rows.map(({ seq }) => Number(seq)))
    return rows.map(({ operation, table_name, key }) => `${operation} ${table_name} ${key}`)
  }
}

describePostgres('changes on PostgreSQL', () => {
  test('goes on when the answer to a COMMIT of its own is lost', async () => {
    await using database = await createDatabase()
    await using proxy = await FaultyProxy.before(database.url)
    await using store = await openStorage(proxy.url)
    await using other = await openStorage(database.url)
    const live = await subscribed(store)
    for (const fault of ['reset before', 'reset after'] as const) {
      const before = proxy.injected
      proxy.arm(fault, 'COMMIT\0')
      // Once a second the subscription commits a beat.
      for (let turn = 0; proxy.injected === before; turn++) {
        await other.nodes.create(node(`${fault}-${turn}`))
        expect((await take(live, 1)).map(({ key }) => key)).toEqual([`${fault}-${turn}`])
      }
    }
  })

  test('a transaction that is committed after a later one is not missed', async () => {
    await using opened = await postgres.open()
    await using early = await Client.of(opened)
    await using late = await Client.of(opened)
    const changes = await subscribed(opened.store)
    const byNumber = new ByNumber(opened)
    await early.run('BEGIN', insert('early'))
    await late.run('BEGIN', insert('late'), 'COMMIT')
    expect((await take(changes, 1)).map(words)).toEqual(['insert nodes late'])
    expect(await byNumber.read()).toEqual(['insert nodes late'])
    await early.run('COMMIT')
    expect((await take(changes, 1)).map(words)).toEqual(['insert nodes early'])
    // The control: whoever goes by numbers misses it.
    expect(await byNumber.read()).toEqual([])
  })

  test('a token of in between does not miss it either', async () => {
    await using opened = await postgres.open()
    await using early = await Client.of(opened)
    const changes = await subscribed(opened.store)
    await early.run('BEGIN', insert('early'))
    await opened.store.nodes.create(node('late'))
    await opened.store.nodes.create(node('later'))
    const [late] = await take(changes, 1)
    await early.run('COMMIT')
    const resumed = opened.store.changes({ after: late?.token })
    expect((await take(resumed, 2)).map(words)).toEqual(['insert nodes later', 'insert nodes early'])
  })

  for (const [how, isReadInBetween] of [
    ['and read at once', false],
    ['and read in between', true],
  ] as const) {
    test(`one row that transactions change in the order against their ids, ${how}`, async () => {
      await using opened = await postgres.open(MANUAL)
      await opened.store.nodes.create(node('a'))
      await using lower = await Client.of(opened)
      await using higher = await Client.of(opened)
      const changes = await subscribed(opened.store)
      const ids: number[] = []
      for (const client of [lower, higher]) {
        await client.run(READ_COMMITTED)
        ids.push(Number((await client.run('SELECT pg_current_xact_id()::text AS id')).rows[0].id))
      }
      expect(ids[0]).toBeLessThan(ids[1] ?? 0)
      await higher.run(remove('a'), 'COMMIT')
      const first = isReadInBetween ? await take(changes, 1) : []
      await lower.run(insert('a'), rename('a'), 'COMMIT')
      const all = [...first.map(words), ...(await committed(changes, opened.store))]
      expect(all).toEqual(['delete nodes a', 'insert nodes a', 'update nodes a'])
    })
  }

  test('a transaction that stays open holds back no others, and what it wrote comes when it is committed', async () => {
    await using opened = await postgres.open(MANUAL)
    await using long = await Client.of(opened)
    const changes = await subscribed(opened.store)
    await long.run('BEGIN', insert('long'), 'SAVEPOINT s', insert('undone'), 'ROLLBACK TO s')
    const seen: string[] = []
    for (let turn = 0; turn < 4; turn++) {
      await opened.store.nodes.saveMany(manyNodes(400))
      seen.push(...(await take(changes, 400)).map(words))
      await opened.store.pathCache.sweep()
    }
    expect(seen.filter((each) => each.startsWith('update'))).toHaveLength(1_200)
    await long.run('COMMIT')
    expect(await committed(changes, opened.store)).toEqual(['insert nodes long'])
  })

  test('an id that a crashed server gives a second time is not taken for one that was seen', async () => {
    await using opened = await postgres.open(MANUAL)
    await using open = await Client.of(opened)
    await using rolledBack = await Client.of(opened)
    const changes = await subscribed(opened.store)
    await open.run('BEGIN', insert('open'))
    await opened.store.nodes.create(node('a'))
    await rolledBack.run('BEGIN', insert('undone'))
    const { rows } = await rolledBack.run('SELECT pg_current_xact_id()::text AS id')
    await rolledBack.run('ROLLBACK')
    const [seen] = await take(changes, 1)
    // As if the server had crashed before it had noted that.
    await opened.other.execute(
      `INSERT INTO meshstore_changes (table_name, key, operation, transaction) VALUES ('nodes', 'again', 'insert', '${rows[0].id}')`,
    )
    await open.run('COMMIT')
    for (const each of [changes, opened.store.changes({ after: seen?.token })]) {
      expect((await take(each, 2)).map(words).sort()).toEqual(['insert nodes again', 'insert nodes open'])
    }
  })

  test('whoever subscribes first waits for those who began before the log, and nobody waits later on', async () => {
    await using opened = await postgres.open(MANUAL)
    await using unaware = await Client.of(opened)
    await unaware.run('BEGIN ISOLATION LEVEL SERIALIZABLE', 'SELECT count(*) FROM nodes')
    const changes = opened.store.changes()
    let isReady = false
    const ready = changes.ready().then(() => {
      isReady = true
    })
    await eventually('the log is on', async () => (await logOf(opened)).isOn)
    await unaware.run(insert('unlogged'))
    expect((await logOf(opened)).changes).toBe(0)
    expect(isReady).toBe(false)
    await unaware.run('COMMIT')
    await ready
    await unaware.run('BEGIN ISOLATION LEVEL SERIALIZABLE', 'SELECT count(*) FROM nodes')
    const second = await subscribed(opened.store)
    await unaware.run(insert('logged'), 'COMMIT')
    for (const each of [changes, second]) expect((await take(each, 1)).map(words)).toEqual(['insert nodes logged'])
  })

  test('transactions that overlap without an end keep nobody from subscribing', async () => {
    await using opened = await postgres.open()
    await using first = await Client.of(opened)
    await using second = await Client.of(opened)
    const begun = gate()
    let isOver = false
    const overlapping = (async () => {
      await first.run('BEGIN', 'SELECT 1')
      begun.open()
      // Each lasts for a second or so, and there is always one.
      for (let turn = 0; !isOver; turn++) {
        const [next, last] = turn % 2 === 0 ? [second, first] : [first, second]
        await sleep(400)
        await next.run('BEGIN', 'SELECT 1')
        await sleep(400)
        await last.run('COMMIT')
      }
    })()
    await begun.opened
    const changes = await subscribed(opened.store)
    await opened.store.nodes.create(node('a'))
    expect((await take(changes, 1)).map(words)).toEqual(['insert nodes a'])
    isOver = true
    await overlapping
  })

  test('BUSY, if such a transaction does not end; then the log is off again', async () => {
    await using opened = await postgres.open()
    await using unaware = await Client.of(opened)
    await unaware.run('BEGIN', 'SELECT 1')
    const changes = opened.store.changes()
    await expectCode(changes.ready(), 'BUSY')
    expect(await logOf(opened)).toEqual({ isOn: false, consumers: 0, changes: 0 })
    await unaware.run('COMMIT')
    await changes.ready()
    await opened.store.nodes.create(node('a'))
    expect((await take(changes, 1)).map(words)).toEqual(['insert nodes a'])
  })

  test('one that begins while the last other one ends misses nothing', async () => {
    await using opened = await postgres.open(MANUAL)
    const second = await opened.openAgain()
    let last = await subscribed(opened.store)
    for (let turn = 0; turn < 40; turn++) {
      const store = turn % 2 === 0 ? second : opened.store
      const [next] = await Promise.all([subscribed(store), last.return(), opened.store.pathCache.sweep()])
      await opened.store.nodes.save(node(`n-${turn}`))
      expect((await take(next, 1)).map(words)).toEqual([`insert nodes n-${turn}`])
      last = next
    }
  })

  test('more than a million changes are kept for nobody, and a subscriber that has read them stays', async () => {
    await using opened = await postgres.open()
    const sleeper = await subscribed(opened.store)
    // Every snapshot of the server begins at this transaction, although it is of another database.
    await using elsewhere = await createDatabase()
    await using oldest = await Client.of(elsewhere)
    await oldest.run('BEGIN', 'SELECT pg_current_xact_id()')
    await opened.store.nodes.create(node('a'))
    const [first] = await opened.other.rows('meshstore_changes')
    await opened.other.execute(
      `ALTER TABLE meshstore_changes ALTER COLUMN seq RESTART WITH ${Number(first?.seq) + 999_999}`,
    )
    await opened.store.nodes.create(node('b'))
    await opened.store.pathCache.sweep()
    expect(await logOf(opened)).toEqual({ isOn: true, consumers: 1, changes: 2 })
    const reader = await subscribed(opened.store)
    await opened.store.nodes.createMany(manyNodes(2))
    await opened.store.pathCache.sweep()
    expect(await logOf(opened)).toMatchObject({ isOn: true, consumers: 1 })
    await expectCode(sleeper.next(), 'CHANGES_MISSED')
    expect(await take(reader, 2)).toHaveLength(2)
  })

  test('a connection that is lost is an error that is retryable, after which next() goes on', async () => {
    await using database = await createDatabase()
    await using store = await openStorage({ url: database.url })
    const changes = await subscribed(store)
    const waiting = changes.next().catch((error) => error)
    await store.nodes.create(node('a'))
    expect((await waiting).value?.key).toBe('a')
    for (let turn = 0; turn < 5; turn++) {
      await database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'meshstore'`,
        [database.name],
      )
      await asSoonAsAvailable(() =>
        store.nodes.save(node(`n-${turn}`)).catch((error) => {
          if (error.code !== 'OUTCOME_UNKNOWN') throw error
          return store.nodes.save(node(`n-${turn}`))
        }),
      )
      const { value } = await asSoonAsAvailable(() => changes.next())
      expect(value?.key).toBe(`n-${turn}`)
      // It may have been written twice.
      await committed(changes, store)
    }
  })

  test('behind a proxy that swaps the sessions between transactions', async () => {
    await using database = await createDatabase()
    await (await openStorage(database.url)).close()
    await using proxy = await SwappingProxy.before(database.url, { sessions: 3, startupOptions: 'refused' })
    await using store = await openStorage({ url: proxy.url, pool: { mode: 'transaction', max: 4 } })
    const changes = await subscribed(store)
    await Promise.all(manyNodes(50).map((each) => store.nodes.create(each)))
    const seen = await committed(changes, store)
    expect(seen.sort()).toEqual(manyNodes(50).map(({ nodeId }) => `insert nodes ${nodeId}`))
    await changes.return()
    await eventually('the log is empty', async () => {
      await store.pathCache.sweep()
      return (await database.query('SELECT 1 FROM meshstore_changes')).length === 0
    })
  })
})
