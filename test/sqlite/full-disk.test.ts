/** A batch, a unit and a transaction for which there is no room. */
import { describe, expect, test } from 'vitest'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node, numbered } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { type Inside, openInside } from './support/inside.ts'
import { outcomes, tally } from './support/settled.ts'

/** A quarter of a megabyte, in one row. */
const huge = (nodeId: string) => node(nodeId, { interfaces: Array.from({ length: 1_000 }, () => 'x'.repeat(255)) })

const TRIGGERS = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"

/** The file may grow by so many pages and no more: the disk is full. */
function limitGrowth({ writer }: Inside, pages: number): void {
  // A statement with triggers has a journal of its own, by which it alone is undone. Without, SQLite may undo everything.
  for (const name of writer.prepare<[], string>(TRIGGERS).pluck().all()) writer.exec(`DROP TRIGGER ${name}`)
  writer.exec('VACUUM')
  const now = Number(writer.pragma('page_count', { simple: true }))
  expect(writer.pragma(`max_page_count = ${now + pages}`, { simple: true })).toBe(now + pages)
}

const liftLimit = ({ writer }: Inside): unknown => writer.pragma('max_page_count = 1000000')

describe('a full disk', () => {
  test.each([0, 30, 59])(
    'in the middle of a batch, at %i of 60, fails the write that is too large alone',
    async (at) => {
      using folder = temporaryFolder()
      await using inside = await openInside(folder.file('mesh.db'))
      await inside.nodes.create(node('first'))
      limitGrowth(inside, 20)
      using commits = record('commit', 'end')
      const nodes = manyNodes(60)
      nodes[at] = huge(numbered('n', at))
      const codes = await outcomes(nodes.map((each) => inside.nodes.create(each)))

      expect(codes.filter((code) => code === 'STORAGE_FULL')).toHaveLength(1)
      expect(codes[at]).toBe('STORAGE_FULL')
      expect(tally(codes)).toEqual({ done: 59, STORAGE_FULL: 1 })
      // SQLite rolled back all of it, and it was done again.
      expect(commits.events.length).toBeGreaterThan(1)
      expect(await inside.nodes.count()).toBe(60)
      expect(await inside.nodes.get(numbered('n', at))).toBeUndefined()

      liftLimit(inside)
      expect(await inside.nodes.create(huge('at last'))).toMatchObject({ nodeId: 'at last' })
    },
  )

  test('is traced as a commit that failed, not as one that was made', async () => {
    using folder = temporaryFolder()
    await using inside = await openInside(folder.file('mesh.db'))
    await inside.nodes.create(node('first'))
    limitGrowth(inside, 20)
    using commits = record('commit', 'end')
    const nodes = [...manyNodes(20, 'a'), huge('huge'), ...manyNodes(20, 'b')]
    expect(tally(await outcomes(nodes.map((each) => inside.nodes.create(each))))).toEqual({ done: 40, STORAGE_FULL: 1 })
    const made = commits.events.filter(({ error }) => error === undefined)
    expect(made.reduce((sum, { batch }) => sum + batch, 0)).toBe(40)
    expect(commits.events.length).toBeGreaterThan(made.length)
  })

  test('fails every write that finds no room, and none of them is there', async () => {
    using folder = temporaryFolder()
    await using inside = await openInside(folder.file('mesh.db'))
    await inside.nodes.create(node('first'))
    limitGrowth(inside, 10)
    const nodes = [...manyNodes(10, 'a'), ...manyNodes(500, 'b')]
    const codes = await outcomes(nodes.map((each) => inside.nodes.create(each)))
    const counts = tally(codes)
    expect(counts).toEqual({ done: expect.any(Number), STORAGE_FULL: expect.any(Number) })
    expect(counts.STORAGE_FULL).toBeGreaterThan(0)
    const there = await inside.nodes.getMany(nodes.map(({ nodeId }) => nodeId))
    expect(there.map(({ nodeId }) => nodeId)).toEqual(
      nodes.filter((_, index) => codes[index] === 'done').map(({ nodeId }) => nodeId),
    )

    liftLimit(inside)
    const missing = nodes.filter((_, index) => codes[index] !== 'done')
    expect(tally(await outcomes(missing.map((each) => inside.nodes.create(each))))).toEqual({ done: missing.length })
  })

  test('undoes all of a unit, and nothing of its neighbours', async () => {
    using folder = temporaryFolder()
    await using inside = await openInside(folder.file('mesh.db'))
    await inside.nodes.create(node('first'))
    limitGrowth(inside, 20)
    const codes = await outcomes([
      inside.nodes.createMany(manyNodes(10, 'a')),
      inside.nodes.createMany([...manyNodes(10, 'b'), huge('huge'), ...manyNodes(10, 'c')]),
      inside.nodes.createMany(manyNodes(10, 'd')),
      // More than a batch: a transaction of its own.
      inside.nodes.createMany([...manyNodes(600, 'e'), huge('huge')]),
    ])
    expect(codes).toEqual(['done', 'STORAGE_FULL', 'done', 'STORAGE_FULL'])
    expect(await inside.nodes.count()).toBe(21)
    expect(inside.writer.inTransaction).toBe(false)
  })

  test('ends a transaction, even one that goes on as if nothing had happened', async () => {
    using folder = temporaryFolder()
    await using inside = await openInside(folder.file('mesh.db'))
    await inside.nodes.create(node('first'))
    limitGrowth(inside, 20)
    const { SqlNodeRepository } = await import('../../src/repositories/node-repository.ts')
    const limits = { readOnly: false, timeoutMs: 10_000, attempts: 1 }
    let caught = 0
    const transaction = inside.database.transaction(async (session) => {
      const nodes = new SqlNodeRepository(session, () => new Date())
      await nodes.create(node('before'))
      const [code] = await outcomes([nodes.create(huge('huge'))])
      if (code === 'STORAGE_FULL') caught++
      await outcomes([nodes.create(node('after'))])
    }, limits)
    await expectCode(transaction, 'STORAGE_FULL')
    expect(caught).toBe(1)
    expect(await inside.nodes.getMany(['before', 'huge', 'after'])).toEqual([])
    expect(await inside.nodes.create(node('after'))).toMatchObject({ nodeId: 'after' })
  })
})
