/** Followers of a move open the target while the move is under way, so that writers wait for less at the cutover. */
import pg from 'pg'
import { expect, test } from 'vitest'
import type { PostgresTarget } from '../../../src/database/postgres/url.ts'
import { openStorage } from '../../../src/index.ts'
import { abortMove } from '../../../src/move/live/index.ts'
import { configOf, databaseOf } from '../../../src/open/config.ts'
import { openSqlite } from '../../../src/open/sqlite.ts'
import { createDatabase } from '../../postgres/support/database.ts'
import { eventually } from '../../postgres/support/eventually.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { node } from '../../support/samples.ts'

describePostgres('a store with a successor', () => {
  test('opens it when a move begins, and closes it when that is given up', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    const path = folder.file('mesh.db')
    await using store = await openStorage({ url: path, successor: database.url })
    await store.nodes.create(node('a'))
    const client = new pg.Client(database.url)
    await client.connect()
    const connections = async (): Promise<number> => {
      const others = `SELECT count(*)::int FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`
      const { rows } = await client.query<{ count: number }>(others)
      return rows[0]?.count ?? 0
    }
    await store.nodes.count()
    expect(await connections()).toBe(0)

    const mover = await openStorage(path)
    const stop = new AbortController()
    const moved = mover.moveTo(database.url, {
      signal: stop.signal,
      onProgress: ({ step }) => step === 'verifying' && stop.abort('enough'),
    })
    await expect(moved).rejects.toBe('enough')
    await mover.close()
    await eventually('it is opened', async () => {
      await store.nodes.recordRoutes('a')
      return (await connections()) === 1
    })

    const file = await openSqlite(path, configOf(path))
    await abortMove(file, databaseOf(database.url) as PostgresTarget, 5_000)
    await file.close()
    await eventually('it is closed', async () => {
      await store.nodes.count()
      return (await connections()) === 0
    })
    expect(store.dialect).toBe('sqlite')
    await client.end()
  })
})
