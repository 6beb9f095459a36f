/** A backup of PostgreSQL shows one moment, however fast other processes write. */
import Sqlite from 'better-sqlite3'
import type { Plugin } from 'rolldown'
import { expect, test } from 'vitest'
import { openStorage, verifyBackup } from '../../src/index.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import type { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { temporaryFolder } from '../support/folders.ts'

const WRITERS = 4
const pairs = await Script.bundle(new URL('../backup/programs/pairs.ts', import.meta.url))
const BACKER = new URL('../backup/programs/backer.ts', import.meta.url)
const backer = await Script.bundle(BACKER)

const planted = { count: 0 }
/** Reads each table as of another moment. */
const unpinned: Plugin = {
  name: 'unpinned',
  transform(code, id) {
    if (!id.endsWith('/src/rows/postgres-source.ts')) return
    const begin = ['`BEGIN ISOLATION LEVEL $', '{way}`'].join('')
    if (code.split(begin).length !== 2) throw new Error('There is no place to plant the mistake in.')
    planted.count++
    return code.replace(begin, "'SELECT 0'")
  },
}
const careless = await Script.bundle(BACKER, unpinned)

/** Pairs of which the halves disagree, and the sum of all numbers. */
function looked(file: string): { pairs: number; torn: number; sum: number } {
  const raw = new Sqlite(file, { readonly: true })
  try {
    const count = 'SELECT count(*) FROM nodes FULL JOIN policies ON node_id = policy_id'
    const torn = `${count} WHERE node_id IS NULL OR policy_id IS NULL OR interfaces <> '["' || yaml_content || '"]'`
    const sum = `SELECT coalesce(sum(substr(yaml_content, 2)), 0) FROM policies`
    const [all, bad, total] = [count, torn, sum].map((sql) => Number(raw.prepare(sql).pluck().get()))
    return { pairs: all ?? 0, torn: bad ?? 0, sum: total ?? 0 }
  } finally {
    raw.close()
  }
}

async function written(writers: readonly Program[], lines: number): Promise<void> {
  await Promise.all(
    writers.map(async (writer) => {
      for (let n = 0; n < lines; n++) await writer.line()
    }),
  )
}

describePostgres(`while ${WRITERS} processes write`, () => {
  test('no pair is torn, in any of the backups; without one moment for all it would be', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    await (await openStorage(database.url)).close()
    await using program = backer.start([database.url])
    await program.line()
    await using wrong = careless.start([database.url])
    await wrong.line()
    const writers = Array.from({ length: WRITERS }, (_, n) => pairs.start([database.url, `w${n}`]))
    try {
      await written(writers, 60)
      const sums = new Set<number>()
      for (let round = 0; round < 5; round++) {
        await written(writers, 5)
        program.send(folder.file(`${round}`))
        await program.line()
        await verifyBackup(folder.file(`${round}`))
        const found = looked(folder.file(`${round}`))
        expect(found).toMatchObject({ pairs: WRITERS * 50, torn: 0 })
        sums.add(found.sum)
      }
      // They went on meanwhile.
      expect(sums.size).toBe(5)
      let torn = 0
      for (let round = 0; round < 40 && torn === 0; round++) {
        await written(writers, 5)
        wrong.send(folder.file(`wrong-${round}`))
        await wrong.line()
        torn += looked(folder.file(`wrong-${round}`)).torn
      }
      expect(planted.count).toBe(1)
      expect(torn).toBeGreaterThan(0)
    } finally {
      for (const writer of writers) await writer.kill()
    }
  })
})
