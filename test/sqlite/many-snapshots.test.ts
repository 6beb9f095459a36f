/** More transactions that only read than the process may have files open. */
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { sqliteFile } from '../support/backends.ts'
import { node } from '../support/samples.ts'

const openFiles = (): number => readdirSync('/proc/self/fd').length

test.runIf(process.platform === 'linux')('are answered, with few files open, and each sees one moment', async () => {
  await using opened = await sqliteFile.open()
  const { store } = opened
  await store.nodes.create(node('a'))
  const before = openFiles()
  let most = 0
  const reads = Array.from({ length: 1_500 }, (_, index) =>
    store.transaction(
      async (tx) => {
        const first = await tx.nodes.count()
        if (index % 100 === 0) most = Math.max(most, openFiles())
        await new Promise((resolve) => setTimeout(resolve, 5))
        expect(await tx.nodes.count()).toBe(first)
        return first
      },
      { readOnly: true },
    ),
  )
  for (let index = 0; index < 20; index++) await store.nodes.create(node(`n-${index}`))
  const counts = await Promise.all(reads)
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(1)
  expect(most - before).toBeLessThan(400)
  // SQLite keeps the database's own for the next connections: closing one would drop the process's locks.
  expect(openFiles() - before).toBeLessThan(100)
  await store.transaction((tx) => tx.nodes.get('a'), { readOnly: true })
})

test('one that fails gives its turn to the next', async () => {
  await using opened = await sqliteFile.open()
  const { store } = opened
  const failing = Array.from({ length: 200 }, (_, index) =>
    store.transaction(() => Promise.reject(new Error(String(index))), { readOnly: true }).catch(String),
  )
  expect(new Set(await Promise.all(failing)).size).toBe(200)
  expect(await store.transaction((tx) => tx.nodes.count(), { readOnly: true })).toBe(0)
})
