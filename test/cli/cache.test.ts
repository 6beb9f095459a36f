/** `meshstore cache`, as an operator uses it. */
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { runCommand } from './support/command.ts'

async function uses(url: string): Promise<void> {
  const run = (...args: string[]) => runCommand(['cache', ...args, '--url', url])
  const json = async (...args: string[]) => JSON.parse((await run(...args, '--json')).stdout)
  {
    await using store = await openStorage({ url, pathCache: { ttlSeconds: 3_600 } })
    await store.nodes.create(node('relay'))
    for (const to of ['b', 'c', 'd', 'e']) await store.pathCache.set(pathKey('a', to), bundle('a', to))
    await store.pathCache.set(pathKey('x', 'y'), { source: 'x', destination: 'y', primary: [{ nodes: ['x', 'y'] }] })
  }
  expect(await json('stats')).toEqual({ entries: 5, valid: 5, expired: 0, invalidation: 'topology' })
  expect((await run('stats')).stdout).toBe(
    'Entries       5\nValid         5\nExpired       0\nInvalidation  topology\n',
  )
  expect(await json('invalidate', '--source', 'a', '--destination', 'b')).toEqual({ invalidated: 1 })
  expect(await json('invalidate', '--through', 'relay')).toEqual({ invalidated: 3 })
  expect((await run('invalidate', '--destination', 'nobody')).stdout).toBe('Dropped 0 cached paths.\n')
  expect(await run('invalidate')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--through') })
  expect((await run('clear')).stdout).toBe('Dropped 1 cached path.\n')
  expect(await json('stats')).toMatchObject({ entries: 1, valid: 0 })
  expect(await json('sweep')).toEqual({ expired: 0, invalidated: 1, evicted: 0 })
  expect(await json('stats')).toMatchObject({ entries: 0, valid: 0 })
  {
    await using store = await openStorage({ url, pathCache: { ttlSeconds: 3_600 } })
    for (const to of ['b', 'c', 'd']) await store.pathCache.set(pathKey('a', to), bundle('a', to))
  }
  expect((await run('sweep', '--max-entries', '2')).stdout).toBe(
    'Deleted 0 expired, 0 invalidated and 1 surplus paths.\n',
  )
  expect(await run('sweep', '--max-entries', '0')).toMatchObject({ code: 2, stdout: '' })
}

test('stats, invalidate, clear and sweep do on a file what they say', async () => {
  using folder = temporaryFolder()
  await uses(folder.file('mesh.db'))
  for (const what of ['stats', 'clear', 'sweep']) {
    const none = await runCommand(['cache', what, '--url', folder.file('none.db')])
    expect(none, what).toMatchObject({ code: 2, stderr: expect.stringMatching(/^CONFIG: There is no database at /) })
  }
  expect(existsSync(folder.file('none.db'))).toBe(false)
})

describePostgres('on PostgreSQL', () => {
  test('they do the same', async () => {
    await using database = await createDatabase()
    await uses(database.url)
  })
})
