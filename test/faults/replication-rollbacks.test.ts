/** A file is rolled back to a copy again and again: each time it begins a new generation, so that no change is missed. */
import { copyFileSync, rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { FolderPlace } from '../../src/replication/folder.ts'
import { verifyPlace } from '../../src/replication/verify.ts'
import { byHand, contentOf, objectsIn, restored } from '../replication/support/replicas.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'
import { shows } from './shown.ts'

const ROLLBACKS = bound('REPLICATION_ROLLBACKS', { short: 3, long: 50 })

const generationsIn = (to: string): number => objectsIn(to).filter((name) => name.endsWith('/begin')).length

/** Ships `ids`, one segment for each. */
async function ship(url: string, to: string, ids: readonly string[]): Promise<void> {
  await using store = await openStorage({ url, ...byHand(to) })
  for (const id of ids) {
    await store.nodes.save(node(id))
    await store.flushReplica()
  }
}

function copy(from: string, to: string): void {
  rmSync(`${to}-wal`, { force: true })
  rmSync(`${to}-shm`, { force: true })
  copyFileSync(from, to)
}

test(
  `${ROLLBACKS} files that are rolled back begin a generation each`,
  async () => {
    using folder = temporaryFolder()
    const [url, kept, to] = ['mesh.db', 'copy.db', 'replica'].map((name) => folder.file(name)) as [
      string,
      string,
      string,
    ]
    await ship(url, to, ['first'])
    for (let turn = 0; turn < ROLLBACKS; turn++) {
      const before = generationsIn(to)
      copy(url, kept)
      // As many changes as after the rollback, fewer and more: positions alone would not tell them apart.
      await ship(
        url,
        to,
        Array.from({ length: 1 + (turn % 3) }, (_, n) => `lost ${turn} ${n}`),
      )
      expect(generationsIn(to)).toBe(before)
      copy(kept, url)
      await using store = await openStorage({ url, ...byHand(to) })
      for (const each of manyNodes(1 + ((turn * 7) % 4), `kept-${turn}-`)) await store.nodes.save(each)
      await store.flushReplica()
      expect(generationsIn(to)).toBe(before + 1)
      const { content, problem } = await restored(to)
      expect(problem).toBeUndefined()
      expect(content).toEqual(await contentOf(store))
    }
    expect((await verifyPlace(new FolderPlace(to))).problems).toEqual([])
    shows(`${ROLLBACKS} rollbacks: ${ROLLBACKS} new generations, 0 changes missed`)
  },
  ROLLBACKS * 120_000,
)

test('control: without the intent and the nonces of the log, changes are missed', async () => {
  using folder = temporaryFolder()
  const [url, kept, to] = ['mesh.db', 'copy.db', 'replica'].map((name) => folder.file(name)) as [string, string, string]
  await ship(url, to, ['first'])
  copy(url, kept)
  await ship(url, to, ['lost'])
  const notes = rowsOf(url)
  copy(kept, url)
  {
    await using store = await openStorage(url)
    await store.nodes.save(node('missed'))
  }
  const raw = new Database(url)
  for (const { name, value } of notes.intents)
    raw.prepare('UPDATE meshstore_state SET value = ? WHERE name = ?').run(value, name)
  for (const { seq, nonce } of notes.changes)
    raw.prepare('UPDATE meshstore_changes SET nonce = ? WHERE seq = ?').run(nonce, seq)
  raw.close()
  await using store = await openStorage({ url, ...byHand(to) })
  await store.flushReplica()
  expect(generationsIn(to)).toBe(1)
  expect((await restored(to)).content).not.toEqual(await contentOf(store))
})

function rowsOf(url: string) {
  const raw = new Database(url, { readonly: true })
  try {
    return {
      intents: raw
        .prepare<[], { name: string; value: string }>(
          "SELECT name, value FROM meshstore_state WHERE name LIKE 'replica:%'",
        )
        .all(),
      changes: raw.prepare<[], { seq: number; nonce: number }>('SELECT seq, nonce FROM meshstore_changes').all(),
    }
  } finally {
    raw.close()
  }
}
