/** Promises of the documents for own tables, while another program writes the same database all the time. */
import { expect, test } from 'vitest'
import { all, expectCode } from '../support/expectations.ts'
import { node, numbered } from '../support/samples.ts'
import { eachLastingBackend } from '../support/settings.ts'
import { app, migrations } from './app/schema.ts'
import { link, withTables } from './app/stages.ts'
import { perSource, takeDown } from './app/statements.ts'

const MANY = 1_200
const TURNS = 40

/** Repeats `turn` until `work` has ended, at least once. */
async function beside(work: Promise<unknown>, turn: (number: number) => Promise<unknown>): Promise<void> {
  let isDone = false
  const ended = work.finally(() => {
    isDone = true
  })
  ended.catch(() => {})
  let turns = 0
  do await turn(turns++)
  while (!isDone)
  await ended
}

const manyLinks = (kind: string) => Array.from({ length: MANY }, (_, index) => link(numbered(kind, index)))

eachLastingBackend('own tables beside another program', (backend) => {
  const open = async () => {
    // The other program never pauses: a transaction over all rows may have to begin again often.
    const options = { tables: app, migrations, busyTimeoutMs: 60_000 }
    const opened = await backend.open(options)
    const another = withTables({ store: await opened.openAgain(options) })
    return {
      store: withTables(opened),
      another,
      other: opened.other,
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    }
  }

  test('many rows are added or saved at once, or none', async () => {
    await using database = await open()
    const { store, another } = database
    const seen = new Set<number>()
    const { links } = store.tables
    await beside(
      links.createMany(manyLinks('c')).then(() => links.saveMany(manyLinks('s'))),
      async (turn) => {
        await another.tables.links.save(link('other', { cost: turn % 900 }))
        for (const prefix of ['c', 's']) seen.add((await another.tables.links.list({ prefix, limit: 10_000 })).length)
      },
    )
    expect([...seen].filter((count) => count !== 0 && count !== MANY)).toEqual([])
    await another.tables.links.create(link(numbered('taken', 700)))
    await expectCode(links.createMany(manyLinks('taken')), 'ALREADY_EXISTS')
    expect(await another.tables.links.count({})).toBe(2 * MANY + 2)
  })

  test('rows that a trigger drops in silence are told apart from rows that are there', async () => {
    await using database = await open()
    const { store, other } = database
    const { links } = store.tables
    await links.create(link('there'))
    await other.dropRows('links', 'link_id')
    for (const [key, code] of [
      ['dropped', 'CONFLICT'],
      ['there', 'ALREADY_EXISTS'],
    ] as const) {
      await expectCode(links.create(link(key)), code)
      await expectCode(links.createMany([link('a'), link(key), link('b')]), code)
      await expectCode(links.createMany([...manyLinks('c'), link(key)]), code)
      await store.transaction(async (tx) => {
        await expectCode(tx.tables.links.create(link(key)), code)
        await expectCode(tx.tables.links.createMany([link('a'), link(key)]), code)
      })
    }
    expect(await links.count()).toBe(1)
  })

  test('getMany() has those that exist, in the order asked for; pages go on behind their last row', async () => {
    await using database = await open()
    const { store, another } = database
    const { links } = store.tables
    await links.createMany(manyLinks('stays'))
    const asked = Array.from({ length: 100 }, (_, index) => numbered('stays', 99 - index)).flatMap((id) => [
      id,
      `${id}x`,
    ])
    const working = (async () => {
      for (let turn = 0; turn < TURNS; turn++) {
        const keys = (await links.getMany(asked)).map(({ linkId }) => linkId)
        expect(keys).toEqual(asked.filter((key) => keys.includes(key)))
        expect(keys.filter((key) => !key.endsWith('x'))).toHaveLength(100)
      }
      const keys: string[] = []
      let page = await links.list({ limit: 100 })
      while (page.length > 0) {
        keys.push(...page.map(({ linkId }) => linkId))
        page = await links.list({ limit: 100, after: page.at(-1) })
      }
      expect(keys).toEqual([...new Set(keys)].toSorted())
      expect(keys.filter((key) => !key.endsWith('x'))).toHaveLength(MANY)
      const iterated = (await all(links.iterate())).map(({ linkId }) => linkId).filter((key) => !key.endsWith('x'))
      expect(iterated).toHaveLength(MANY)
    })()
    await beside(working, async (turn) => {
      const key = `${numbered('stays', (turn * 37) % MANY)}x`
      await another.tables.links.save(link(key))
      await another.tables.links.delete(key)
    })
  })

  test('rows by filter are changed once, whoever else changes them; an empty filter is refused', async () => {
    await using database = await open()
    const { store, another } = database
    const { links } = store.tables
    await links.createMany(manyLinks('l'))
    const before = await links.get(numbered('l', 0))
    const working = (async () => {
      expect(await links.updateMany({ source: 'a' }, { tags: ['changed'] })).toBeGreaterThanOrEqual(MANY)
      await expectCode(links.updateMany({}, { tags: [] }), 'VALIDATION')
      await expectCode(links.deleteMany({}), 'VALIDATION')
    })()
    await beside(working, (turn) => another.tables.links.save(link('other', { cost: turn % 900 })))
    expect((await all(another.tables.links.iterate({ prefix: 'l' }))).map(({ tags }) => tags)).toEqual(
      Array.from({ length: MANY }, () => ['changed']),
    )
    const after = await another.tables.links.get(numbered('l', 0))
    expect(after?.updatedAt.getTime()).toBeGreaterThan(before?.updatedAt.getTime() ?? Number.POSITIVE_INFINITY)
  })

  test('a node that the other program deletes takes its rows with it, and subscribers hear of both', async () => {
    await using database = await open()
    const { store, another } = database
    await store.nodes.create(node('owner'))
    await store.tables.links.createMany([link('owned', { owner: 'owner' }), link('free')])
    await using changes = store.changes()
    await changes.ready()
    await another.nodes.delete('owner')
    const heard: string[] = []
    for await (const { table, operation, key } of changes) {
      if (operation === 'delete') heard.push(`${table} ${key}`)
      if (heard.length === 2) break
    }
    expect(heard.toSorted()).toEqual(['links owned', 'nodes owner'])
    expect((await store.tables.links.list()).map(({ linkId }) => linkId)).toEqual(['free'])
  })

  test('statements of the application’s own see all of a change or none, and count what they changed', async () => {
    await using database = await open()
    const { store, another } = database
    await store.tables.links.createMany(manyLinks('l'))
    const seen = new Set<number>()
    let takenDown = 0
    const working = (async () => {
      for (let turn = 0; turn < TURNS; turn++) {
        // Not awaited: the statement behind it waits for it.
        const running = store.run(takeDown, { source: 'a', now: new Date(), site: null })
        const up = await store.query(perSource, { since: new Date(0), isUp: true })
        takenDown += (await running).changes
        seen.add(up.find(({ source }) => source === 'a')?.links ?? 0)
        for (const count of await another.query(perSource, { since: new Date(0), isUp: false })) seen.add(count.links)
      }
    })()
    let putUp = MANY
    await beside(working, async () => {
      putUp += await another.tables.links.updateMany({ source: 'a', isUp: false }, { isUp: true })
    })
    const left = await store.tables.links.count({ isUp: true })
    expect(takenDown).toBe(putUp - left)
    expect([...seen].filter((count) => count !== 0 && count !== MANY)).toEqual([])
  })

  test('two programs transfer between rows, and nothing is lost', async () => {
    await using database = await open()
    const { store, another } = database
    await store.tables.links.createMany(['x', 'y'].map((key) => link(key, { cost: 500 })))
    const transfer = (on: typeof store, amount: number): Promise<void> =>
      on.transaction(
        async (tx) => {
          const [x, y] = await tx.tables.links.getMany(['x', 'y'])
          if (x === undefined || y === undefined) throw new Error('A row is missing.')
          await tx.tables.links.update('x', { cost: x.cost - amount })
          await tx.tables.links.update('y', { cost: y.cost + amount })
        },
        { timeoutMs: 60_000 },
      )
    const run = async (on: typeof store, amount: number): Promise<void> => {
      for (let turn = 0; turn < TURNS; turn++) await transfer(on, amount)
    }
    await Promise.all([run(store, 2), run(another, 1)])
    const costs = (await store.tables.links.getMany(['x', 'y'])).map(({ cost }) => cost)
    expect(costs).toEqual([500 - 3 * TURNS, 500 + 3 * TURNS])
  })
})
