/** A backup reads for as long as it takes, in a transaction that never writes: nobody need wait for its end. */
import { expect, test } from 'vitest'
import { postgresTarget } from '../../src/database/postgres/url.ts'
import { openStorage } from '../../src/index.ts'
import { withPostgresSnapshot } from '../../src/rows/postgres-source.ts'
import { TABLES } from '../../src/schema/tables.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

describePostgres('while a backup reads', () => {
  test('changes can be subscribed to, and invalidated paths are swept', async () => {
    await using database = await createDatabase()
    await using store = await openStorage({ url: database.url, pathCache: { sweepSeconds: 86_400 } })
    await store.nodes.create(node('a'))
    await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    await withPostgresSnapshot(postgresTarget(database.url), {}, async (snapshot) => {
      expect(await snapshot.count(TABLES.nodes)).toBe(1)
      const changes = store.changes()
      await changes.ready()
      await store.nodes.recordRoutes('a')
      expect((await changes.next()).value).toMatchObject({ operation: 'update', key: 'a' })
      await changes.return()
      await store.nodes.update('a', { started: true })
      await store.pathCache.sweep()
      expect(await database.query('SELECT 1 FROM path_cache_marks WHERE NOT swept')).toEqual([])
      expect(await snapshot.count(TABLES.nodes)).toBe(1)
    })
  })
})
