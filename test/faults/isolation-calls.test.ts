/**
 * Many clients that make every call of the repositories, on each dialect: whatever came of each could have come of them one
 * after the other. The checker is tested in isolation-checkers.test.ts.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import { PostgresExecutor } from '../../src/database/postgres/connection.ts'
import type { BoundStatement } from '../../src/database/statement.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { bound, SEED } from '../support/bounds.ts'
import { added, BATCH, type Came, inBatches, judged } from './isolation/batches.ts'
import { openFile, openOn, type Place } from './isolation/places.ts'
import { shows } from './shown.ts'

const TRANSACTIONS = bound('CALLS', { brief: 1_000, short: 4_000, long: 1_000_000 })
const TIMEOUT = { timeout: 600_000 + TRANSACTIONS * 30 }
const WATCHED = 4_000
const CONTROL_ROUNDS = 100
const CONTROL_TRANSACTIONS = 500

/** Outcomes of the calls, each of which must have come at least once. */
const BOTH_OUTCOMES = [
  ...['nodes.create: wrote', 'nodes.create: "present"', 'nodes.createMany: wrote', 'nodes.createMany: "present"'],
  ...['nodes.update: wrote', 'nodes.update: "version"', 'nodes.update ifUpdatedAt: wrote', 'nodes.save: wrote'],
  ...[
    'nodes.recordRoutes: wrote',
    'nodes.recordRoutes: "version"',
    'nodes.delete: deleted 0',
    'nodes.delete: deleted 1',
  ],
  ...['nodes.get: found', 'nodes.get: "version"', 'nodes.list started: "unmatched"', 'nodes.count: counted'],
  ...[
    'policies.create: wrote',
    'policies.create: "present"',
    'policies.createMany: "present"',
    'policies.update: wrote',
  ],
  ...['policies.update: "version"', 'policies.delete: deleted 0', 'policies.delete: deleted 1', 'policies.save: wrote'],
  ...['pathCache.get: found', 'pathCache.get: "version"', 'pathCache.set: wrote', 'pathCache.list: found'],
  ...['pathCache.delete: deleted 0', 'pathCache.delete: deleted 1', 'pathCache.invalidate: deleted 1'],
  ...['links.get: found', 'links.get: "version"', 'links.getMany: found', 'links.getMany: "version"'],
  ...['links.list: found', 'links.list: "version"', 'links.list up: found', 'links.list up: "unmatched"'],
  ...['links.iterate: found', 'links.iterate: "version"', 'links.count: counted'],
  ...['links.create: wrote', 'links.create: "present"', 'links.createMany: wrote', 'links.createMany: "present"'],
  ...['links.update: wrote', 'links.update: "version"', 'links.update ifUpdatedAt: wrote'],
  ...['links.update ifUpdatedAt CONFLICT: "present"', 'links.save: wrote', 'links.saveMany: wrote'],
  ...['links.save created: "version"', 'links.save replaced: "present"'],
  ...[
    'links.delete: deleted 0',
    'links.delete: deleted 1',
    'links.deleteMany: deleted 0',
    'links.deleteMany: deleted 1',
  ],
  ...['links.updateMany: changed 0', 'links.updateMany: changed 1'],
  ...['query withTargets: found', 'query withTargets: "version"', 'query upFrom: counted'],
  ...['query once: found', 'query once: "unmatched"', 'run putLink: wrote'],
  ...['run changeUp: wrote', 'run changeUp: "unmatched"', 'run removeUp: deleted 0', 'run removeUp: deleted 1'],
  ...['run changeTargets: wrote', 'run changeTargets: "matched"'],
]

/** Beyond those that the test runner watches, which costs as much again. */
async function byProgram(transactions: number, seed: number, server = ''): Promise<Came> {
  const args = [join(import.meta.dirname, 'isolation-program.ts'), String(transactions), String(seed)]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CALLS_SERVER: server },
  })
  const [said, [status]] = await Promise.all([text(child.stdout), once(child, 'close')])
  expect(status, 'see above').toBe(0)
  return JSON.parse(said)
}

function suite(dialect: string, open: () => Promise<Place>, server?: string): void {
  test('every call, whatever comes of it', TIMEOUT, async () => {
    const watched = Math.min(TRANSACTIONS, WATCHED)
    let came = await inBatches(open, watched, SEED, ({ found }, seed) =>
      expect(found.slice(0, 3), `SEED=${seed}`).toEqual([]),
    )
    for (const narrow of ['ours', 'own'] as const)
      expect((await judged(open, CONTROL_TRANSACTIONS, SEED, { narrow })).found, `SEED=${SEED}`).toEqual([])
    if (TRANSACTIONS > watched)
      came = added(came, await byProgram(TRANSACTIONS - watched, SEED + Math.ceil(watched / BATCH), server))
    const { runs, committed, outcomes } = came
    console.log(`calls, ${dialect}, SEED=${SEED}: ${committed} of ${runs} committed; ${JSON.stringify(outcomes)}`)
    const names = new Set(outcomes.map(([name]) => name))
    expect(BOTH_OUTCOMES.filter((name) => !names.has(name))).toEqual([])
    expect(committed).toBeGreaterThan(TRANSACTIONS / 2)
    shows(`${dialect}: ${runs} transactions of all calls, ${committed} committed, no cycle`)
  })

  test('a query that does not run in its transaction is found', TIMEOUT, async () => {
    const names = new Set<string>()
    for (let round = 0; round < CONTROL_ROUNDS && !names.has('internal'); round++) {
      const { found } = await judged(open, CONTROL_TRANSACTIONS, SEED + round, { careless: true })
      // Not what was found: it holds values, and the canaries look for those in the output.
      for (const { anomaly } of found) names.add(anomaly)
    }
    expect([...names]).toContain('internal')
  })
}

/** Snapshot isolation: PostgreSQL lets write skew pass. */
function weaker(): Disposable {
  const { prototype } = pg.Client
  const { query } = prototype
  prototype.query = function (this: pg.Client, text: unknown, ...rest: unknown[]) {
    const weak = typeof text === 'string' ? text.replace('LEVEL SERIALIZABLE', 'LEVEL REPEATABLE READ') : text
    return Reflect.apply(query, this, [weak, ...rest])
  } as typeof query
  return {
    [Symbol.dispose]: () => {
      prototype.query = query
    },
  }
}

describe('every call on SQLite', () => suite('SQLite', openFile))

describePostgres('every call on PostgreSQL', () => {
  const server = inject('postgresUrl')
  const open = (): Promise<Place> => openOn(server)
  suite('PostgreSQL', open, server)

  test('a weaker isolation level is found, by calls of own tables', TIMEOUT, async () => {
    using _ = weaker()
    const names = new Set<string>()
    const isFound = (): boolean => [...names].join().includes('anti-dependency')
    for (let round = 0; round < CONTROL_ROUNDS && !isFound(); round++) {
      const { found } = await judged(open, CONTROL_TRANSACTIONS, SEED + round)
      for (const { anomaly, what } of found) if (/links\.|query |run /.test(what)) names.add(anomaly)
    }
    expect(isFound()).toBe(true)
  })

  test(
    'a create that does not read the row in its way is found: write skew, from PostgreSQL 18 on',
    TIMEOUT,
    async () => {
      await using database = await createDatabase()
      const [server] = await database.query<{ version: number }>(
        "SELECT current_setting('server_version_num')::int / 10000 AS version",
      )
      const { lookAt, all } = PostgresExecutor.prototype
      // The mend is taken out: the key is not selected, and a create that wrote nothing takes it for taken.
      PostgresExecutor.prototype.lookAt = async () => {}
      PostgresExecutor.prototype.all = async function <R>(this: PostgresExecutor, bound: BoundStatement<R>) {
        return bound.compiled.name.endsWith('.isThere') ? [{} as R] : ((await all.call(this, bound)) as R[])
      }
      try {
        const names = new Set<string>()
        const creates: string[] = []
        const hasSkew = (server?.version ?? 0) >= 18
        // Before, nothing is to be found, and each round takes its full time.
        const rounds = hasSkew ? CONTROL_ROUNDS : 1
        for (let round = 0; round < rounds && creates.length === 0; round++) {
          const { found } = await judged(open, CONTROL_TRANSACTIONS, SEED + round, { narrow: 'ours' })
          for (const { anomaly, what } of found) {
            names.add(anomaly)
            if (/create(Many)? [^;]*present/.test(what)) creates.push(what)
          }
        }
        // Not what was found: it holds values, and the canaries look for those in the output.
        console.log(`without the mend, PostgreSQL ${server?.version}: ${creates.length} cycles found`)
        if (hasSkew) {
          expect(creates.length).toBeGreaterThan(0)
          expect([...names].join()).toContain('anti-dependency')
        } else expect([...names]).toEqual([])
      } finally {
        Object.assign(PostgresExecutor.prototype, { lookAt, all })
      }
    },
  )
})
