/** Programs that write cached paths at another isolation level, in transactions that a sweep overtakes. */
import { expect, test } from 'vitest'
import { postgresDialect } from '../../src/database/postgres/dialect.ts'
import { StatementCompiler } from '../../src/database/statement.ts'
import { openStorage } from '../../src/index.ts'
import { byKey } from '../../src/path-cache/entry-statements.ts'
import { bundle, manyNodes, node, pathKey } from '../support/samples.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

const A_B = pathKey('a', 'b')
const INSERT = `INSERT INTO path_cache VALUES ('a:b:3', 'a', 'b', 3, '{"primary": [{"nodes": ["a", "relay", "b"]}]}', 1.5, 4000000000)`

describePostgres('a path that another program has stored and not committed', () => {
  test.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'])(
    'is not served once it is, at %s, if its topology has changed and been swept meanwhile',
    async (isolation) => {
      await using database = await createDatabase()
      await using store = await openStorage({ url: database.url, pathCache: { sweepSeconds: 86_400 } })
      await store.nodes.create(node('relay'))
      const program = await database.client()
      try {
        await program.query(`BEGIN ISOLATION LEVEL ${isolation}`)
        await program.query(INSERT)
        await store.nodes.delete('relay')
        await store.pathCache.sweep()
        // SERIALIZABLE refuses it by itself.
        const committed = await program.query('COMMIT').then(
          () => true,
          (error: { code?: string }) => error.code !== '40001',
        )
        expect(committed).toBe(isolation !== 'SERIALIZABLE' || (await store.pathCache.stats()).entries === 1)
        expect(await store.pathCache.get(A_B)).toBeUndefined()
        await store.pathCache.sweep()
        expect((await store.pathCache.stats()).entries).toBe(0)
        await store.pathCache.set(A_B, bundle('a', 'b'))
        await store.pathCache.sweep()
        expect(await store.pathCache.get(A_B)).toEqual(bundle('a', 'b'))
      } finally {
        await program.end()
      }
    },
  )
})

/** A node of a plan that was carried out, and those below it. */
interface Step {
  readonly 'Relation Name'?: string
  readonly 'Actual Loops': number
  readonly Plans?: readonly Step[]
}

const stepsOf = (step: Step): Step[] => [step, ...(step.Plans ?? []).flatMap(stepsOf)]

describePostgres('a transaction that stays open, and only reads', () => {
  test('keeps marks from being swept: a path that is newer than all of them does not ask each', async () => {
    await using database = await createDatabase()
    await using store = await openStorage({ url: database.url, pathCache: { sweepSeconds: 86_400 } })
    const program = await database.client()
    await program.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1')
    try {
      await store.nodes.createMany(manyNodes(2_000))
      await store.nodes.saveMany(manyNodes(2_000).map((each) => ({ ...each, interfaces: ['changed'] })))
      await store.pathCache.set(A_B, bundle('a', 'b'))
      await store.pathCache.sweep()
      const marks = await database.query<{ count: string }>('SELECT count(*) FROM path_cache_marks WHERE NOT swept')
      expect(Number(marks[0]?.count)).toBe(2_000)
      expect(await store.pathCache.get(A_B)).toEqual(bundle('a', 'b'))
      const { sql, bind } = new StatementCompiler(postgresDialect).compile(byKey)
      const asking = await database.client()
      const { rows } = await asking
        .query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, bind({ cacheKey: 'a:b:3', now: new Date(), after: 0 }))
        .finally(() => asking.end())
      const steps = stepsOf(rows[0]['QUERY PLAN'][0].Plan)
      const stamps = steps.filter((step) => step['Relation Name'] === 'path_cache_stamps')
      expect(stamps.length).toBeGreaterThan(0)
      for (const step of stamps) expect(step['Actual Loops']).toBeLessThan(10)
    } finally {
      await program.end()
    }
  })
})
