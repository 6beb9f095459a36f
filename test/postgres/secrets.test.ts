/**
 * A password, and the values that are stored, are seen nowhere: in no error or its causes, in no inspection of what the
 * library hands out, on no tracing channel, in no output. They are canaries here, and everything goes wrong with them.
 */
import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import { type Meshstore, openStorage, type Repositories } from '../../src/index.ts'
import { temporaryFolder } from '../support/folders.ts'
import { sqliteProgram } from '../support/other-program.ts'
import { createAppRole, runGrants } from './support/app-role.ts'
import { canariesIn, PASSWORD, VALUE } from './support/canaries.ts'
import { createDatabase, randomName } from './support/database.ts'
import { readsOf, secretBundle, secretNode, secretPolicy, secretText, writesOf } from './support/provoked.ts'
import { failClosed, failEverywhere, lookAtAll, Provoked, report } from './support/provoking.ts'
import { FaultyProxy } from './support/proxy.ts'
import { refuseInDetail } from './support/refusing.ts'
import { describePostgres } from './support/suite.ts'
import { watch } from './support/watched.ts'

describe('secrets on SQLite', () => {
  test('are seen nowhere, whatever goes wrong', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const provoked = new Provoked()
    using watched = watch()
    const options = { url: `sqlite:${path}`, busyTimeoutMs: 20 }
    await using store = await openStorage(options)
    await lookAtAll(provoked, store)
    await failEverywhere(provoked, store)

    await store.nodes.create(secretNode('bad'))
    await store.policies.create(secretPolicy('bad'))
    await store.pathCache.set({ source: 'bad', destination: 'b', k: 3 }, secretBundle)
    const other = sqliteProgram(path)
    // The message of a trigger is somebody else's text.
    for (const table of ['nodes', 'policies', 'path_cache']) {
      for (const event of ['INSERT', 'UPDATE'])
        await other.execute(
          `CREATE TRIGGER ${table}_${event} BEFORE ${event} ON ${table} BEGIN SELECT RAISE(ABORT, '${VALUE}'); END`,
        )
    }
    for (const write of writesOf('bad')) {
      await provoked.fail(() => write(store))
      await provoked.fail(() => store.transaction((tx) => write(tx)))
    }
    for (const table of ['nodes', 'policies', 'path_cache']) {
      for (const event of ['INSERT', 'UPDATE']) await other.execute(`DROP TRIGGER ${table}_${event}`)
    }
    await other.corrupt('nodes', 'bad', { interfaces: `{"${VALUE}": 1}` })
    await other.corrupt('policies', 'bad', { rules_count: VALUE })
    await other.corrupt('path_cache', 'bad:b:3', { bundle_json: `["${VALUE}"]` })
    for (const read of readsOf('bad')) {
      await provoked.fail(() => read(store))
      await provoked.fail(() => store.transaction((tx) => read(tx)))
    }

    await using locked = await openStorage(options)
    await store.transaction(async (tx) => {
      await tx.nodes.delete('bad')
      for (const write of writesOf('new').filter((_, index) => [0, 2, 5].includes(index)))
        await provoked.fail(() => write(locked))
    })
    await using reader = await openStorage({ ...options, readOnly: true })
    for (const write of writesOf('bad')) await provoked.fail(() => write(reader))
    await failClosed(provoked, options)

    writeFileSync(folder.file('text.db'), VALUE.repeat(1_000))
    await provoked.fail(() => openStorage(`sqlite:${folder.file('text.db')}`))
    await provoked.fail(() => openStorage(`sqlite:./mesh.db?password=${PASSWORD}`))
    await provoked.fail(() => openStorage(`mysql://me:${PASSWORD}@host/mesh`))
    await provoked.fail(() => openStorage({ url: `sqlite:${path}`, password: PASSWORD } as never))

    report('SQLite', provoked, watched)
    expect(provoked.leaks).toEqual([])
    expect(watched.leaks).toEqual([])
    expect(provoked.count).toBeGreaterThan(80)
    expect(provoked.codes.size).toBeGreaterThanOrEqual(8)
    expect([...watched.events.keys()].toSorted()).toEqual(['cache', 'commit', 'statement', 'transaction'])
  })
})

const SQLSTATES = [
  ...['22001', '22003', '22021', '23000', '23502', '23503', '23505', '23514', '23P01', '25006', '25P02', '26000'],
  ...['28000', '40001', '40P01', '42501', '42703', '42P01', '53100', '53200', '54000', '55P03', '57014', '58030'],
  ...['0A000', 'P0001', 'XX000', 'XX001', '99999'],
]

describePostgres('secrets on PostgreSQL', () => {
  const withPassword = (url: string, change: (url: URL) => void): string => {
    const changed = new URL(url)
    change(changed)
    return changed.href
  }

  test('are seen nowhere, whatever the server says', async () => {
    await using database = await createDatabase()
    const provoked = new Provoked()
    using watched = watch()
    const options = { url: database.url, busyTimeoutMs: 20, pool: { max: 3 } }
    await using store = await openStorage(options)
    await lookAtAll(provoked, store)
    await failEverywhere(provoked, store)
    await refuseInDetail(database)
    for (const sqlstate of SQLSTATES) {
      const id = `bad-${sqlstate}`
      for (const write of writesOf(id).filter((_, index) => ![4, 8].includes(index))) {
        await provoked.fail(() => write(store))
        await provoked.fail(() => store.transaction((tx) => write(tx), { attempts: 1 }))
      }
      // Gathered.
      const fine = store.nodes.save(secretNode('fine')).catch(() => {})
      await Promise.all([fine, provoked.fail(() => store.nodes.save(secretNode(id)))])
    }
    await database.query(`ALTER TABLE policies ADD CHECK (yaml_content NOT LIKE '%${VALUE}%')`)
    await database.query(`ALTER TABLE nodes ADD CHECK (NOT protocols @> '["${VALUE}"]') NOT VALID`)
    for (const write of writesOf('new').slice(0, 3)) await provoked.fail(() => write(store))
    await provoked.fail(() => store.policies.create(secretPolicy('new')))
    await failClosed(provoked, options)
    report('PostgreSQL', provoked, watched)
    expect(provoked.leaks).toEqual([])
    expect(watched.leaks).toEqual([])
    expect(provoked.count).toBeGreaterThan(400)
    expect(provoked.codes.size).toBeGreaterThanOrEqual(10)
    expect(watched.events.get('statement')).toBeGreaterThan(400)
    expect(watched.events.get('transaction')).toBeGreaterThan(100)
  })

  test('are seen nowhere when rows are broken, transactions collide and connections are cut', async () => {
    await using database = await createDatabase()
    await using proxy = await FaultyProxy.before(database.url)
    const provoked = new Provoked()
    using watched = watch()
    await using store = await openStorage({ url: proxy.url, busyTimeoutMs: 20, pool: { max: 3 } })
    for (const table of ['nodes', 'policies', 'path_cache']) {
      for (const { name } of await database.query<{ name: string }>(
        "SELECT conname AS name FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c'",
        [table],
      ))
        await database.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`)
    }
    await store.nodes.create(secretNode('broken'))
    await store.policies.create(secretPolicy('broken'))
    await store.pathCache.set({ source: 'broken', destination: 'b', k: 3 }, secretBundle)
    await database.query(`UPDATE nodes SET interfaces = '{"${VALUE}": 1}'`)
    await database.query(`UPDATE policies SET created_at = 'NaN'`)
    await database.query(`UPDATE path_cache SET bundle_json = '["${VALUE}"'`)
    const broken = [...readsOf('broken'), ({ nodes }: Repositories) => nodes.update('broken', { started: true })]
    for (const each of broken) {
      await provoked.fail(() => each(store))
      await provoked.fail(() => store.transaction((tx) => each(tx)))
    }

    await store.nodes.save(secretNode('hot'))
    await provoked.fail(() =>
      store.transaction(
        async (tx) => {
          await tx.nodes.get('hot')
          await database.query("UPDATE nodes SET routes_discovered = 1 WHERE node_id = 'hot'")
          await tx.nodes.update('hot', { protocols: [VALUE] })
        },
        { attempts: 1 },
      ),
    )

    for (const write of [...writesOf('cut'), ({ nodes }: Meshstore) => nodes.createMany([secretNode('cut')])]) {
      proxy.arm('reset after', 'cut')
      // A call refused before it is sent, or for a missing row, is not cut.
      await write(store).then(
        () => {},
        (error: unknown) => provoked.look('cut', error),
      )
      await store.nodes.get('hot')
    }
    proxy.arm('reset before', 'COMMIT\0')
    await provoked.fail(() => store.transaction((tx) => tx.nodes.save(secretNode('cut'))))
    proxy.arm('reset before', 'inside')
    await provoked.fail(() => store.transaction((tx) => tx.nodes.save(secretNode('inside'))))
    expect(proxy.injected).toBeGreaterThan(8)
    await proxy.away()
    for (const each of [...writesOf('away'), ...readsOf('away')]) await provoked.fail(() => each(store))
    provoked.look('a store without a server', store)
    await proxy.back()

    report('PostgreSQL', provoked, watched)
    expect(provoked.leaks).toEqual([])
    expect(watched.leaks).toEqual([])
    for (const code of ['CORRUPT', 'BUSY', 'OUTCOME_UNKNOWN', 'UNAVAILABLE'])
      expect([...provoked.codes.keys()]).toContain(code)
  })

  test('in the URL are seen nowhere, whatever is wrong with it', async () => {
    const url = inject('postgresUrl')
    await using database = await createDatabase()
    await (await openStorage(database.url)).close()
    await runGrants(database.url)
    await using role = await createAppRole(url, PASSWORD)
    const provoked = new Provoked()
    using watched = watch()
    const opened = [
      withPassword(url, (changed) => {
        changed.password = PASSWORD
      }),
      withPassword(url, (changed) => {
        changed.username = randomName('nobody')
        changed.password = PASSWORD
      }),
      withPassword(role.urlOf(url), (changed) => {
        changed.pathname = `/${randomName('missing')}`
      }),
      `postgres://me:${PASSWORD}@no-such-host.invalid/mesh?sslmode=disable`,
      `postgres://me:${PASSWORD}@127.0.0.1:1/mesh`,
      `postgres://me:${PASSWORD}@localhost:1/mesh?sslmode=require`,
      `postgres://me:${PASSWORD}@host/mesh?sslmode=${PASSWORD}`,
      `postgres://me:${PASSWORD}@host/mesh?password=${PASSWORD}`,
      `postgres://me:${PASSWORD}@host:port/mesh`,
      `postgres://me:${PASSWORD}%@host/mesh`,
      `postgres://me:/${PASSWORD}@host/mesh`,
      `postgres://${PASSWORD}@[::1/mesh`,
    ]
    for (const each of opened) await provoked.fail(() => openStorage(each))
    await provoked.fail(() => openStorage({ url: opened[0] ?? '', pool: { max: PASSWORD as never } }))

    // Right, and without the rights for what it asks.
    const mine = role.urlOf(database.url)
    await using store = await openStorage(mine)
    await lookAtAll(provoked, store)
    await database.query('REVOKE ALL ON ALL TABLES IN SCHEMA public FROM meshstore_app')
    for (const each of [...writesOf('n'), ...readsOf('n')]) await provoked.fail(() => each(store))
    await database.query(`ALTER ROLE ${role.name} PASSWORD 'another'`)
    await database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'meshstore' AND datname = current_database()",
    )
    for (let attempt = 0; attempt < 5; attempt++) await provoked.fail(() => store.nodes.get('n'))
    provoked.look('a store whose password is wrong now', store)

    report('PostgreSQL', provoked, watched)
    expect(provoked.leaks).toEqual([])
    expect(watched.leaks).toEqual([])
    expect(provoked.codes.get('CONFIG')).toBeGreaterThan(20)
    expect(provoked.codes.get('UNAVAILABLE')).toBeGreaterThanOrEqual(3)
  })

  test("are found in the driver's own errors and pools: the search can fail", async () => {
    await using database = await createDatabase()
    await (await openStorage(database.url)).close()
    await refuseInDetail(database)
    const client = await database.client()
    const error = await client
      .query('INSERT INTO policies VALUES ($1, $2, 0, 1, 1)', ['bad-23514', secretText])
      .catch((reason: unknown) => reason)
    expect(canariesIn(error)).toContain(VALUE)
    expect(canariesIn(new Error('outer', { cause: new Error('inner', { cause: error }) }))).toContain(VALUE)
    const pool = new pg.Pool({ connectionString: `postgres://me:${PASSWORD}@host/mesh` })
    expect(canariesIn(pool)).toContain(PASSWORD)
    expect(canariesIn({ bytes: Buffer.from(PASSWORD) })).not.toEqual([])
    await pool.end()
  })
})
