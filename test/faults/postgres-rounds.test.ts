/**
 * A PostgreSQL server and its connections fail in every way that we know, in turn, under load: what was acknowledged is there,
 * what failed is not, what nobody can know is called OUTCOME_UNKNOWN, and all goes on afterwards.
 */
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { backendsOf, createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { asSoonAsAvailable } from '../postgres/support/eventually.ts'
import { freeze } from '../postgres/support/frozen.ts'
import { Lanes } from '../postgres/support/lanes.ts'
import { FAULTS, FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { patiently, withTimeouts } from '../postgres/support/timeouts.ts'
import { watchProcess } from '../postgres/support/watched.ts'
import { bound, SEED } from '../support/bounds.ts'
import { expectCode } from '../support/expectations.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { manyNodes, node } from '../support/samples.ts'
import { type Small, small } from '../support/small-disk.ts'
import { integerFrom, randomFrom } from './random.ts'
import { notTested, shows } from './shown.ts'

const ROUNDS = bound('POSTGRES_ROUNDS', { short: 30, long: 200 })
const TIMEOUT = { timeout: 600_000 + ROUNDS * 20_000 }
const LANES = 12
/** Until something is lost: it is what was written in the last fraction of a second. */
const CONTROL_ROUNDS = 10
/** Between two faults, at least. */
const WRITES = 100
/** Longer than a statement may take, and shorter than a lane waits for the server to come back. */
const FROZEN_MS = 2_500
const ROOM = 48 * 1024 * 1024
const NOBODY = 65_534

interface Stage {
  readonly server: PostgresServer
  readonly database: TestDatabase
  readonly proxy: FaultyProxy
  readonly store: Meshstore
  readonly lanes: Lanes
  /** The disk that the database's tables are on, where one could be made. */
  readonly disk: Small | undefined
}

type Fault = (stage: Stage, round: number) => Promise<void>

/** A transaction whose client stands still, and a server that waits for less than a second. */
const idleInTransaction: Fault = async ({ database }, round) => {
  const impatient = {
    from: 'idle_in_transaction_session_timeout=60000',
    to: 'idle_in_transaction_session_timeout=00300',
  }
  await using proxy = await FaultyProxy.before(database.url, impatient)
  await using store = await openStorage(patiently(proxy.url))
  const id = `idle-${round}`
  const transaction = store.transaction(async (tx) => {
    await tx.nodes.create(node(id))
    await new Promise((resolve) => setTimeout(resolve, 900))
    await tx.nodes.create(node(`${id}-again`))
  })
  // As the next statement finds it: told why, or that the connection is gone.
  expect(['TIMEOUT', 'UNAVAILABLE']).toContain(await codeOf(transaction))
  expect(proxy.rewritten).toBeGreaterThan(0)
  expect(await asSoonAsAvailable(() => store.nodes.getMany([id, `${id}-again`]))).toEqual([])
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof StorageError ? error.code : String(error)),
  )

const diskFull: Fault = async ({ disk, database, lanes }, round) => {
  if (disk === undefined) return
  await using store = await openStorage(patiently(database.url))
  disk.leave(100_000)
  const interfaces = Array.from({ length: 50 }, (_, index) => `interface-${index}-of-a-node-with-many-of-them`)
  const large = manyNodes(2_000, `large-${round}`).map((each) => ({ ...each, interfaces }))
  await expectCode(store.nodes.createMany(large), 'STORAGE_FULL')
  // Others go on as far as there is room.
  expect(await store.nodes.get(large[0]?.nodeId ?? '')).toBeUndefined()
  disk.leave(ROOM)
  await lanes.progress(WRITES)
}

const KINDS: Readonly<Record<string, Fault>> = {
  crashed: ({ server }) => server.crash(),
  restarted: ({ server }) => server.restart(),
  'stopped where it was': async ({ server }) => {
    using _frozen = await freeze(server)
    await new Promise((resolve) => setTimeout(resolve, FROZEN_MS))
  },
  'connections ended': async ({ database }) => {
    const pids = await backendsOf(database)
    await database.query('SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid', [pids])
  },
  'connections refused': async ({ proxy }) => {
    await proxy.away()
    await proxy.back()
  },
  ...Object.fromEntries(
    FAULTS.map((fault): [string, Fault] => [
      `COMMIT: ${fault}`,
      async ({ proxy, lanes }) => {
        const before = proxy.injected
        proxy.arm(fault, 'COMMIT\0')
        await lanes.progress(WRITES)
        expect(proxy.injected).toBe(before + 1)
      },
    ]),
  ),
  'idle in a transaction': idleInTransaction,
  'disk full': diskFull,
}

describePostgres('a PostgreSQL server that fails in every way', () => {
  let server: PostgresServer
  let disk: Small | undefined
  beforeAll(async () => {
    server = await startPostgres()
    disk = small()
    return async () => {
      await server.stop()
      disk?.[Symbol.dispose]()
    }
  })
  const faults = watchProcess()
  afterAll(() => expect(faults()).toEqual([]))

  /** Its tables are on a disk that can be filled up; the server's log is not, or it would stop by itself. */
  async function databaseOnDisk(): Promise<TestDatabase> {
    const administrator = server.url('postgres')
    if (disk === undefined) {
      notTested('a disk of PostgreSQL that is full', 'It needs root.')
      return createDatabase(administrator)
    }
    const location = disk.folder.file('tables')
    mkdirSync(location)
    chmodSync(disk.folder.path, 0o755)
    chownSync(location, NOBODY, NOBODY)
    return createDatabase(administrator, { tablespace: { name: 'small', location } })
  }

  test(`in ${ROUNDS} rounds under load, nothing that was acknowledged is lost`, TIMEOUT, async () => {
    await using database = await databaseOnDisk()
    await using proxy = await FaultyProxy.before(database.url)
    await using store = await openStorage({
      url: withTimeouts(proxy.url),
      pool: { max: 8 },
      // Each write is judged by itself: none of nodes and policies may take paths with it.
      pathCache: { invalidation: 'manual' },
    })
    const lanes = new Lanes(store, { database, lanes: LANES, seed: SEED })
    await lanes.start()
    const stage: Stage = { server, database, proxy, store, lanes, disk }
    const random = randomFrom(SEED)
    const counts: Record<string, number> = {}
    let left: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      // Each kind once, in any order; then again.
      if (left.length === 0) left = Object.keys(KINDS)
      const [kind = ''] = left.splice(integerFrom(random, 0, left.length - 1), 1)
      await lanes.progress(WRITES)
      console.log(`round ${round}, SEED=${SEED}: ${kind}`)
      await KINDS[kind]?.(stage, round)
      counts[kind] = (counts[kind] ?? 0) + 1
    }
    await lanes.progress(WRITES)
    const figures = await lanes.stop()
    console.log(`PostgreSQL, SEED=${SEED}: ${JSON.stringify(counts)}: ${figures}`)
    expect(figures.wrong).toEqual([])
    expect(figures.lost).toBe(0)
    expect(Object.keys(counts)).toHaveLength(Math.min(ROUNDS, Object.keys(KINDS).length))
    expect(figures.acknowledged).toBeGreaterThan(ROUNDS * WRITES)
    expect(figures.refused).toBeGreaterThan(0)
    expect(figures.unknown).toBeGreaterThan(0)
    shows(`${ROUNDS} rounds of ${Object.keys(counts).length} faults: ${figures}`)
  })

  test("with durability: 'normal' the same lanes find what a crash has lost", TIMEOUT, async () => {
    let found: string[] = []
    for (let round = 0; round < CONTROL_ROUNDS && found.length === 0; round++) {
      await using database = await createDatabase(server.url('postgres'))
      // Its tables, at least, are there to stay.
      await (await openStorage(database.url)).close()
      await using store = await openStorage({
        url: withTimeouts(database.url),
        durability: 'normal',
        pathCache: { invalidation: 'manual' },
      })
      const lanes = new Lanes(store, { database, lanes: LANES, seed: SEED + round })
      await lanes.start()
      await lanes.progress(5 * WRITES)
      await server.crash()
      // A lane that finds its rows gone says so at once.
      found = await lanes.stop().then(
        ({ wrong }) => wrong,
        (error: unknown) => [String(error)],
      )
    }
    expect(found).not.toEqual([])
  })
})
