/** `--wait` is how long a command waits for another process's lock. */
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TreeCopy } from '../schema/tree-copy.ts'
import { TAGS } from '../support/tags.ts'
import { HERE, migrate, migrated, statusOf } from './support/commands.ts'
import { eachDialect, type Scratch } from './support/databases.ts'
import { ADD_NOTE, grown, ledgerOf } from './support/trees.ts'

let tree: TreeCopy
beforeAll(async () => {
  tree = await grown(ADD_NOTE)
})
afterAll(() => tree[Symbol.dispose]())

/** Holds what a process that migrates holds. */
async function hold({ dialect, path, url }: Scratch): Promise<() => Promise<void>> {
  if (dialect === 'sqlite') {
    const raw = new Sqlite(path)
    raw.exec('BEGIN IMMEDIATE')
    return async () => {
      raw.close()
    }
  }
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  await client.query('BEGIN')
  await client.query('SELECT pg_advisory_xact_lock(1298495336, 1937010546)')
  return () => client.end()
}

/** Longer than `--wait`; then the lock is given back, so that nothing waits for ever. */
const PATIENCE_MS = 30_000

eachDialect('while another process migrates', (dialect, make) => {
  test('up gives up after --wait with an exit code that says: try again', async () => {
    await using scratch = await make()
    await migrated(HERE, scratch.url, 'up')
    const release = await hold(scratch)
    const late = setTimeout(() => void release(), PATIENCE_MS)
    try {
      const { code, stderr } = await migrate(tree, scratch.url, 'up', '--wait', '1')
      expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringMatching(/^BUSY: /) })
      expect(await scratch.ledger()).toHaveLength(TAGS.length)
      // Looking needs no lock.
      expect(await statusOf(tree, scratch.url)).toMatchObject({ code: 3, state: 'pending' })
    } finally {
      clearTimeout(late)
      await release()
    }
  })

  test('up waits for as long as it may, and goes on when the lock is free', async () => {
    await using scratch = await make()
    await migrated(HERE, scratch.url, 'up')
    const release = await hold(scratch)
    const up = migrate(tree, scratch.url, 'up', '--wait', '60')
    setTimeout(() => void release(), 500)
    expect(await up).toMatchObject({ code: 0 })
    expect(await scratch.ledger()).toEqual(ledgerOf(tree, dialect))
  })
})
