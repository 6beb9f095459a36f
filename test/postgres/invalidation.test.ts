/** Programs that write cached paths at another isolation level, in transactions that a sweep overtakes. */
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
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
