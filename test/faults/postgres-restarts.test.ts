/**
 * Acknowledged writes are there, whatever happens to the server and to the connections; failed ones are not; a write of
 * unknown fate is called OUTCOME_UNKNOWN.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStorage, StorageError, type StorageOptions } from '../../src/index.ts'
import { backendsOf, createDatabase } from '../postgres/support/database.ts'
import { asSoonAsAvailable } from '../postgres/support/eventually.ts'
import { Lanes } from '../postgres/support/lanes.ts'
import { FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { UNHEEDED_MS, withTimeouts } from '../postgres/support/timeouts.ts'
import { watchProcess } from '../postgres/support/watched.ts'
import { bound, SEED } from '../support/bounds.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { manyNodes } from '../support/samples.ts'
import { mistaken } from './mistaken.ts'
import { shows } from './shown.ts'

const RESTARTS = bound('RESTARTS', { short: 10, long: 200 })
/** A mistaken store is found by then. */
const CONTROL_ROUNDS = Math.max(30, 2 * RESTARTS)
/** A cut connection is waited for until the limit, twice in each round. In milliseconds. */
const TIMEOUT = { timeout: 600_000 + RESTARTS * 6_000 }
const LANES = 16
/** Between two faults, at least. */
const WRITES = 100

describePostgres('a PostgreSQL server that comes and goes', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })
  const faults = watchProcess()
  afterAll(() => expect(faults()).toEqual([]))

  const options = (url: string): StorageOptions => ({
    url: withTimeouts(url),
    pool: { max: 8 },
    // Each write is judged by itself: none of nodes and policies may take paths with it.
    pathCache: { invalidation: 'manual' },
  })

  test(`restarted at once ${RESTARTS} times under load, it loses no acknowledged write`, TIMEOUT, async () => {
    await using database = await createDatabase(server.url('postgres'))
    await using store = await openStorage(options(database.url))
    const lanes = new Lanes(store, { database, lanes: LANES, seed: SEED })
    await lanes.start()
    let restarts = 0
    // Some of them have to come in the middle of a COMMIT.
    const enough = (): boolean => restarts >= RESTARTS && (lanes.figures.unknown > 0 || restarts >= 10 * RESTARTS)
    for (; !enough(); restarts++) {
      await lanes.progress(WRITES)
      await server.crash()
    }
    await lanes.progress(WRITES)
    const figures = await lanes.stop()
    console.log(`SEED=${SEED}, ${restarts} restarts: ${figures}`)
    shows(`${restarts} restarts: ${figures}`)
    expect(figures.wrong).toEqual([])
    expect(figures.lost).toBe(0)
    expect(figures.unknown).toBeGreaterThan(0)
    expect(figures.longestMs).toBeLessThan(UNHEEDED_MS)
  })

  test("with durability: 'normal' it does: such a restart can lose something", TIMEOUT, async () => {
    await using database = await createDatabase(server.url('postgres'))
    // Its tables, at least, are there to stay.
    await (await openStorage(database.url)).close()
    await using store = await openStorage({ ...options(database.url), durability: 'normal' })
    let lost = 0
    for (let restart = 0; restart < CONTROL_ROUNDS && lost === 0; restart++) {
      const ids = manyNodes(200, `r${restart}`)
      await Promise.all(ids.map((each) => store.nodes.create(each)))
      await server.crash()
      const found = await asSoonAsAvailable(() => store.nodes.getMany(ids.map(({ nodeId }) => nodeId)))
      lost = ids.length - found.length
    }
    console.log(`durability: 'normal': ${lost} lost`)
    shows(`with 'normal' ${lost} lost`)
    expect(lost).toBeGreaterThan(0)
  })

  test('when an administrator ends the connections under load, what failed is not there', TIMEOUT, async () => {
    await using database = await createDatabase(server.url('postgres'))
    await using store = await openStorage(options(database.url))
    const lanes = new Lanes(store, { database, lanes: LANES, seed: SEED })
    await lanes.start()
    let ended = 0
    for (let round = 0; round < 2 * RESTARTS; round++) {
      await lanes.progress(WRITES)
      const pids = await backendsOf(database)
      const [killed] = await database.query<{ count: string }>(
        'SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS count FROM unnest($1::integer[]) AS pid',
        [pids],
      )
      ended += Number(killed?.count)
    }
    await lanes.progress(WRITES)
    const figures = await lanes.stop()
    console.log(`SEED=${SEED}, ${ended} connections ended: ${figures}`)
    shows(`${ended} connections ended: ${figures}`)
    expect(figures.wrong).toEqual([])
    expect(figures.lost).toBe(0)
    expect(ended).toBeGreaterThan(RESTARTS)
    expect(figures.refused + figures.unknown).toBeGreaterThan(0)
    expect(figures.longestMs).toBeLessThan(UNHEEDED_MS)
  })

  test(
    'when connections break in the middle of a COMMIT under load, every lost reply is an unknown outcome',
    TIMEOUT,
    async () => {
      await using database = await createDatabase(server.url('postgres'))
      await using proxy = await FaultyProxy.before(database.url)
      await using store = await openStorage(options(proxy.url))
      const lanes = new Lanes(store, { database, lanes: LANES, seed: SEED })
      await lanes.start()
      for (let round = 0; round < 2 * RESTARTS; round++) {
        proxy.arm(round % 2 === 0 ? 'reset before' : 'reset after', 'COMMIT\0')
        await lanes.progress(WRITES)
      }
      const figures = await lanes.stop()
      console.log(`SEED=${SEED}, ${proxy.injected} COMMITs cut: ${figures}`)
      shows(`${proxy.injected} COMMITs cut: ${figures}`)
      expect(figures.wrong).toEqual([])
      expect(figures.lost).toBe(0)
      expect(proxy.injected).toBeGreaterThan(RESTARTS)
      // A COMMIT that reached the server was made, one that did not was not; nobody could tell from here.
      // Each COMMIT is of a batch, of which every call is told.
      expect(figures.unknown).toBeGreaterThanOrEqual(proxy.injected)
      expect(figures.unknownThere).toBeGreaterThan(0)
      expect(figures.unknownGone).toBeGreaterThan(0)
    },
  )

  test.each([
    ['acknowledges what it does not know', () => undefined],
    ['denies it', denied],
  ])('the same lanes find a store that %s', TIMEOUT, async (_, instead) => {
    await using database = await createDatabase(server.url('postgres'))
    await using proxy = await FaultyProxy.before(database.url)
    await using sound = await openStorage(options(proxy.url))
    const store = mistaken(sound, (call) =>
      call().catch((error) => {
        if (error instanceof StorageError && error.code === 'OUTCOME_UNKNOWN') return instead()
        throw error
      }),
    )
    const lanes = new Lanes(store, { database, lanes: LANES, seed: SEED })
    await lanes.start()
    const { wrong } = lanes.figures
    for (let round = 0; round < CONTROL_ROUNDS && wrong.length === 0; round++) {
      proxy.arm(round % 2 === 0 ? 'reset before' : 'reset after', 'COMMIT\0')
      // A lane that finds its rows gone says so at once, and stops.
      await lanes.progress(WRITES).catch((error: unknown) => wrong.push(String(error)))
    }
    await lanes.stop().catch((error: unknown) => wrong.push(String(error)))
    console.log(`SEED=${SEED}, ${proxy.injected} COMMITs cut: ${wrong[0]}`)
    expect(wrong).not.toEqual([])
  })
})

function denied(): never {
  throw new StorageError('UNAVAILABLE', 'It was not done.')
}
