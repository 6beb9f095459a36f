/** One host and outcome tokens: a server, or the PgBouncer in front of it, that goes and comes back under load. */
import { beforeAll, expect, test } from 'vitest'
import { openStorage, type StorageOptions } from '../../src/index.ts'
import { up } from '../../src/open/migrate.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { hasPgBouncer, pgBouncer } from '../postgres/support/pgbouncer.ts'
import { FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { gate } from '../support/gate.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { manyNodes, node } from '../support/samples.ts'
import { countedIn, counting } from './counting.ts'
import { notTested, shows } from './shown.ts'

const ROUNDS = bound('OUTCOME_ROUNDS', { short: 4, long: 100 })

async function goesOn(
  url: string,
  away: () => Promise<void>,
  options: Partial<StorageOptions> = {},
): Promise<string[]> {
  await using store = await openStorage({ url, pool: { max: 4 }, outcomeTokens: true, ...options })
  const counted = counting(store)
  for (let round = 0; round < ROUNDS; round++) {
    const before = counted.acknowledged()
    await eventually('some writes are there', () => counted.acknowledged() > before + 50, 60_000)
    await away()
  }
  const codes = await counted.stop()
  expect(await countedIn(store)).toBe(counted.acknowledged())
  return codes
}

describePostgres('one host', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })

  test.for([
    ['crashes', () => server.crash()],
    ['is restarted', () => server.restart()],
  ] as const)('that %s: each call is done once, and none fails', async ([how, away]) => {
    await using database = await createDatabase(server.url('postgres'))
    expect(await goesOn(database.url, away)).toEqual([])
    shows(`a server that ${how} ${ROUNDS} times: no error, each increment done once`)
  })

  if (!hasPgBouncer) notTested('PgBouncer', 'The package pgbouncer is not installed')
  test.skipIf(!hasPgBouncer).for([
    ['the server crashes', () => server.crash()],
    ['PgBouncer is killed', undefined],
  ] as const)('behind PgBouncer, while %s: each call is done once, and none fails', async ([how, away]) => {
    await using database = await createDatabase(server.url('postgres'))
    await using bouncer = await pgBouncer(database.url)
    expect(await goesOn(bouncer.url, away ?? (() => bouncer.restart()))).toEqual([])
    shows(`behind PgBouncer, ${how} ${ROUNDS} times: no error, each increment done once`)
  })

  test.for([
    ['before it is sent', 'reset before'],
    ['after it was sent', 'reset after'],
  ] as const)('a migration whose COMMIT is cut %s is applied once', async ([_, fault]) => {
    await using database = await createDatabase(server.url('postgres'))
    await using proxy = await FaultyProxy.before(database.url)
    // A cluster whose other host is away.
    const { host } = new URL(proxy.url)
    const url = proxy.url.replace(host, `${host},127.0.0.1:1`)
    proxy.arm(fault, 'COMMIT\0')
    const { applied } = await up(url)
    expect(proxy.injected).toBe(1)
    await using store = await openStorage({ url, migrate: 'check' })
    expect((await store.nodes.create(node('there'))).nodeId).toBe('there')
    expect(new Set(applied.map(({ tag }) => tag)).size).toBe(applied.length)
  })

  test.for(['reset before', 'reset after'] as const)(
    'a move whose COMMIT is cut (%s) says how to go on, and goes on',
    async (fault) => {
      await using database = await createDatabase(server.url('postgres'))
      await (await openStorage(database.url)).close()
      await using proxy = await FaultyProxy.before(database.url)
      using folder = temporaryFolder()
      await using store = await openStorage(folder.file('mesh.db'))
      await store.nodes.createMany(manyNodes(100))
      const onProgress = ({ step }: { step: string }): void => {
        if (step === 'copying' && proxy.injected === 0) proxy.arm(fault, 'COMMIT\0')
      }
      await expect(store.moveTo(proxy.url, { onProgress })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(/with it the lock of the move.*Nothing was lost.*meshstore move --resume/),
      })
      expect(proxy.injected).toBe(1)
      await store.moveTo(proxy.url)
      await using target = await openStorage(database.url)
      expect(await target.nodes.count()).toBe(100)
    },
  )

  test.for([
    ['its own time is over', { timeoutMs: 3_000, parameters: '', isRefused: true }],
    [
      'it had run for longer than a statement may',
      { timeoutMs: 60_000, parameters: '?statement_timeout=100', isRefused: false },
    ],
  ] as const)(
    'a transaction that loses the server when %s ends no call that waits',
    async ([, { timeoutMs, parameters, isRefused }]) => {
      await using database = await createDatabase(server.url('postgres'))
      await using proxy = await FaultyProxy.before(database.url)
      await using store = await openStorage({ url: proxy.url + parameters, pool: { max: 2 }, outcomeTokens: true })
      await store.nodes.create(node('first'))
      const [begun, waiting] = [gate(), gate()]
      const since = performance.now()
      const transaction = store
        .transaction(
          async (tx) => {
            await tx.nodes.get('first')
            begun.open()
            await waiting.opened
            await tx.nodes.recordRoutes('first')
          },
          { timeoutMs },
        )
        .then(
          () => undefined,
          (error) => error.code,
        )
      await begun.opened
      await proxy.away()
      // Two hold the pool's connections, and the others wait.
      const reads = Promise.all(Array.from({ length: 8 }, (_, at) => store.nodes.list({ limit: at + 1 })))
      reads.catch(() => {})
      if (!isRefused) await eventually('the transaction has run for long', () => performance.now() - since > 300)
      waiting.open()
      // A slow machine may end it with TIMEOUT.
      if (isRefused) expect(await transaction).toMatch(/^(UNAVAILABLE|TIMEOUT)$/)
      await proxy.back()
      expect((await reads).length).toBe(8)
      if (!isRefused) expect(await transaction).toBeUndefined()
    },
  )

  test('without tokens, outcomes are unknown', async () => {
    // Calls that fail before COMMIT run again, so that only these are left.
    const codes = new Set<string>()
    for (let round = 0; round < 50 && codes.size === 0; round++) {
      await using each = await createDatabase(server.url('postgres'))
      for (const code of await unknownIn(each.url, () => server.crash())) codes.add(code)
    }
    expect([...codes]).toEqual(['OUTCOME_UNKNOWN'])
  })
})

/** The codes of a load without tokens; its counters may be off by the calls whose outcome is unknown. */
async function unknownIn(url: string, away: () => Promise<void>): Promise<string[]> {
  await using store = await openStorage({ url, pool: { max: 4 }, failoverMs: 30_000 })
  const counted = counting(store)
  await eventually('some writes are there', () => counted.acknowledged() > 50, 60_000)
  await away()
  const codes = await counted.stop()
  const done = await countedIn(store)
  expect(done).toBeGreaterThanOrEqual(counted.acknowledged())
  expect(done).toBeLessThanOrEqual(counted.acknowledged() + codes.length)
  return codes
}
