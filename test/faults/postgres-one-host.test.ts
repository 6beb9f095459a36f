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
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node } from '../support/samples.ts'
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
