/** Few hops: a reader who follows `nodes.get` to the driver opens these files. */
import { Session } from 'node:inspector/promises'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'

/** Files that a reader need not open: values and their rules, tracing, the guards, admission, and the words of errors. */
const LEAVES = [
  /^(schema\/|event-loop|tracing|repositories\/node-statements)/,
  /^database\/(session|in-use|sqlite\/fence.*|postgres\/(slots|pool|patient-pool|errors))\.ts$/,
]

/** The files of `src/` in which a function runs during `work`. */
async function filesRunBy(work: () => Promise<unknown>): Promise<string[]> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    await session.post('Profiler.takePreciseCoverage')
    await work()
    const { result } = await session.post('Profiler.takePreciseCoverage')
    const run = result.filter(({ functions }) => functions.some(({ ranges: [range] }) => (range?.count ?? 0) > 0))
    return run.flatMap(({ url }) => /\/src\/(?!.*\/test\/)(.*)/.exec(url)?.[1] ?? []).sort()
  } finally {
    session.disconnect()
  }
}

async function filesOfGet(url: string): Promise<string[]> {
  await using writer = await openStorage(url)
  await writer.nodes.save(node('a'))
  await writer.close()
  // A read-only store has no background jobs, whose files would be counted.
  await using store = await openStorage({ url, readOnly: true })
  // Prepares the statement.
  await store.nodes.get('a')
  const files = await filesRunBy(() => store.nodes.get('a'))
  return files.filter((file) => !LEAVES.some((leaf) => leaf.test(file)))
}

test('a get passes five files on SQLite', async () => {
  using place = temporaryFolder()
  expect(await filesOfGet(place.file('mesh.db'))).toEqual([
    'database/movable-database.ts',
    'database/sqlite/connection.ts',
    'database/sqlite/sqlite-database.ts',
    'database/statement.ts',
    'repositories/node-repository.ts',
  ])
})

describePostgres('on PostgreSQL', () => {
  test('a get passes six files', async () => {
    await using database = await createDatabase()
    expect(await filesOfGet(database.url)).toEqual([
      'database/postgres/attempts.ts',
      'database/postgres/connection.ts',
      'database/postgres/postgres-database.ts',
      'database/postgres/read-batcher.ts',
      'database/statement.ts',
      'repositories/node-repository.ts',
    ])
  })
})
