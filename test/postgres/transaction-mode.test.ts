/** `pool: { mode: 'transaction' }`: behind a proxy that swaps the sessions between transactions. */
import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { beforeAll, expect, test } from 'vitest'
import { copyDatabase, type Meshstore, openStorage, restoreBackup } from '../../src/index.ts'
import { runCommand } from '../cli/support/command.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { performAll } from './support/operations.ts'
import { describePostgres } from './support/suite.ts'
import { SwappingProxy } from './support/swapping-proxy.ts'

const SESSIONS = 3

/** State of a session that a new one would not have. */
const LEFT_BEHIND = `
  SELECT pg_backend_pid() AS pid,
    ARRAY(SELECT statement FROM pg_prepared_statements) AS prepared,
    ARRAY(SELECT name || ' = ' || setting FROM pg_settings WHERE source = 'session') AS settings,
    ARRAY(SELECT pg_listening_channels()) AS channels,
    ARRAY(SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
    ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS temporary`

describePostgres('behind a proxy that pools transactions', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase()
    return () => database[Symbol.asyncDispose]()
  })
  const proxied = (startupOptions: 'refused' | 'ignored'): Promise<SwappingProxy> =>
    SwappingProxy.before(database.url, { sessions: SESSIONS, startupOptions })
  const open = (proxy: SwappingProxy, max = 4): Promise<Meshstore> =>
    openStorage({ url: proxy.url, pool: { mode: 'transaction', max } })

  test('every operation works, and nothing of it outlives its transaction', async () => {
    await using proxy = await proxied('refused')
    const store = await open(proxy)
    await performAll(store)
    await Promise.all(Array.from({ length: 100 }, () => store.nodes.recordRoutes('n1')))
    expect((await store.nodes.get('n1'))?.routesDiscovered).toBe(105)
    await store.close()
    // The counts of one moment are few transactions.
    expect(proxy.transactions).toBeGreaterThan(50)

    const client = new pg.Client(proxy.url)
    client.on('error', () => {})
    await client.connect()
    const pids = new Set<number>()
    for (let session = 0; session < SESSIONS; session++) {
      const { rows } = await client.query(LEFT_BEHIND)
      const [{ pid, ...left }] = rows
      pids.add(pid)
      expect(left).toEqual({ prepared: [], settings: [], channels: [], locks: [], temporary: [] })
    }
    await client.end()
    expect(pids.size).toBe(SESSIONS)
  })

  test('nothing is lost, and nobody sees half of a transaction', async () => {
    await using proxy = await proxied('refused')
    await using store = await open(proxy, 8)
    await store.nodes.saveMany([node('from', { routesDiscovered: 500 }), node('to', { routesDiscovered: 500 })])
    const sums: number[] = []
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let turn = 0; turn < 10; turn++) {
          await store.transaction(
            async (tx) => {
              const [from, to] = await tx.nodes.getMany(['from', 'to'])
              await tx.nodes.update('from', { routesDiscovered: (from?.routesDiscovered ?? 0) - 1 })
              await tx.nodes.update('to', { routesDiscovered: (to?.routesDiscovered ?? 0) + 1 })
            },
            { timeoutMs: 30_000 },
          )
          const seen = await store.nodes.getMany(['from', 'to'])
          sums.push(seen.reduce((sum, { routesDiscovered }) => sum + routesDiscovered, 0))
        }
      }),
    )
    expect(new Set(sums)).toEqual(new Set([1_000]))
    expect((await store.nodes.get('to'))?.routesDiscovered).toBe(580)
  })

  test('a single statement is serializable there, too, and a read-only store reads only', async () => {
    await using proxy = await proxied('refused')
    await using store = await open(proxy)
    await store.nodes.save(node('n'))
    await database.query(`
      CREATE FUNCTION isolation() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        NEW.protocols = jsonb_build_array(current_setting('transaction_isolation'), current_setting('statement_timeout'));
        RETURN NEW;
      END $$`)
    await database.query('CREATE TRIGGER isolation BEFORE UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION isolation()')
    const { protocols } = await store.nodes.update('n', { started: true })
    expect(protocols[0]).toBe('serializable')
    expect(protocols[1]).not.toBe('0')

    await using reader = await openStorage({ url: proxy.url, readOnly: true, pool: { mode: 'transaction' } })
    expect(await reader.nodes.get('n')).toMatchObject({ started: true })
    await expectCode(reader.nodes.update('n', { started: false }), 'READ_ONLY')
  })

  test('pool_mode in the URL says the same to every command and copy, and to no server', async () => {
    await using proxy = await proxied('refused')
    using folder = temporaryFolder()
    await using other = await createDatabase()
    await using behind = await SwappingProxy.before(other.url, { sessions: SESSIONS, startupOptions: 'refused' })
    const [url, target] = [proxy.url, behind.url].map((each) => `${each}?pool_mode=transaction`) as [string, string]
    const swept = await openStorage(url)
    // A copy leaves a path out that a pending invalidation may concern.
    await swept.pathCache.sweep()
    await swept.close()
    writeFileSync(folder.file('rows.ndjson'), '')
    const [file, backup] = [folder.file('copied.db'), folder.file('backup.db')]
    for (const args of [
      ['migrate', 'up', '--url', url],
      ['migrate', 'status', '--url', url],
      ['migrate', 'adopt', '--url', url],
      ['stats', '--url', url],
      ['inspect', 'nodes', '--url', url],
      ['export', '--url', url, '--output', folder.file('exported.ndjson')],
      ['backup', 'create', '--file', backup, '--url', url],
      ['copy', '--from', url, '--to', file],
    ]) {
      const { code, stderr } = await runCommand(args)
      expect([args.slice(0, 2), code, stderr.split('\n').filter((line) => /mode|proxy/i.test(line))]).toEqual([
        args.slice(0, 2),
        0,
        [],
      ])
    }
    const checked = await runCommand(['check', '--json', '--url', url])
    expect(checked.stdout).not.toContain('proxy')
    expect([0, 3]).toContain(checked.code)
    expect((await copyDatabase(file, target)).to).toBe('postgresql')
    const sizes = async (of: string): Promise<unknown> => {
      await using store = await openStorage(of)
      return (await store.stats()).rows
    }
    expect(await sizes(target)).toEqual(await sizes(url))
    await using empty = await createDatabase()
    await restoreBackup(backup, `${empty.url}?pool_mode=transaction`)
    expect(await sizes(empty.url)).toEqual(await sizes(url))
    await using vacant = await createDatabase()
    await using source = await openStorage(file)
    const error = await expectCode(source.moveTo(`${vacant.url}?pool_mode=transaction`), 'CONFIG')
    expect(error.message).toContain('pool_mode')
  })

  test('without the option it is said which one to give: the proxy refuses settings', async () => {
    await using proxy = await proxied('refused')
    const error = await expectCode(openStorage(proxy.url), 'CONFIG')
    expect(error.message).toMatch(/mode: ['"]transaction/)
    expect(error.message).toContain('pool_mode=transaction')
    expect(error.retryable).toBe(false)
  })

  test.for([1, 2])('without the option it is said which one to give: statements are not there, max %i', async (max) => {
    await using proxy = await proxied('ignored')
    await using store = await openStorage({ url: proxy.url, pool: { max } })
    const turns = async (): Promise<void> => {
      for (let turn = 0; turn < 4; turn++) await Promise.all([store.nodes.get('n'), store.policies.get('p')])
    }
    const error = await expectCode(turns(), 'CONFIG')
    expect(error.message).toMatch(/mode: ['"]transaction/)
  })
})
