/** Many callers at once, in random mixtures: what must hold whatever the order. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Meshstore, Repositories } from '../../src/index.ts'
import { bound } from '../support/bounds.ts'
import { all } from '../support/expectations.ts'
import { assertProperty } from '../support/properties.ts'
import { node } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'

/** How a caller does its work: on the store, in a transaction, in a savepoint, or in a transaction that throws. */
const HOW = ['store', 'transaction', 'savepoint', 'rolled back'] as const
type How = (typeof HOW)[number]

class Undo extends Error {}

/** Whether the work was committed. */
async function perform(store: Meshstore, how: How, work: (on: Repositories) => Promise<unknown>): Promise<boolean> {
  try {
    if (how === 'store') await work(store)
    else if (how === 'transaction') await store.transaction(work)
    else if (how === 'savepoint') await store.transaction((tx) => tx.transaction(work))
    else {
      await store.transaction(async (tx) => {
        await work(tx)
        throw new Undo()
      })
    }
    return true
  } catch (error) {
    if (error instanceof Undo || (error instanceof Error && 'code' in error)) return false
    throw error
  }
}

const how = fc.constantFrom(...HOW)
const pause = fc.nat({ max: 3 })
const later = async (turns: number): Promise<void> => {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}

eachBackend('at once', (backend) => {
  test('no increment is lost', () => {
    const caller = fc.record({ how, pause, add: fc.integer({ min: 1, max: 9 }), times: fc.integer({ min: 1, max: 3 }) })
    return assertProperty(
      `increments, ${backend.name}`,
      fc.asyncProperty(fc.array(caller, { minLength: 2, maxLength: 25, size: 'max' }), async (callers) => {
        await using opened = await backend.open()
        const { store } = opened
        await store.nodes.create(node('a'))
        const committed = await Promise.all(
          callers.map(async (each) => {
            await later(each.pause)
            const done = await perform(store, each.how, async ({ nodes }) => {
              for (let time = 0; time < each.times; time++) await nodes.recordRoutes('a', each.add)
            })
            return done ? each.add * each.times : 0
          }),
        )
        const sum = committed.reduce((total, added) => total + added, 0)
        expect((await store.nodes.get('a'))?.routesDiscovered).toBe(sum)
      }),
      { runs: bound('RUNS', { brief: backend.slow ? 10 : 30, short: 60, long: 1_000 }) },
    )
  })

  test('of createMany with ids in common each adds all or none, and exactly the fulfilled ones are there', () => {
    const caller = fc.record({ how, pause, ids: fc.uniqueArray(fc.nat({ max: 12 }), { minLength: 1, maxLength: 4 }) })
    return assertProperty(
      `createMany, ${backend.name}`,
      fc.asyncProperty(fc.array(caller, { minLength: 2, maxLength: 12, size: 'max' }), async (callers) => {
        await using opened = await backend.open()
        const { store } = opened
        const expected = await Promise.all(
          callers.map(async (each, index) => {
            await later(each.pause)
            const rows = each.ids.map((id) => node(`n-${id}`, { protocols: [`caller ${index}`] }))
            const done = await perform(store, each.how, ({ nodes }) => nodes.createMany(rows))
            return done ? rows.map(({ nodeId }) => `${nodeId} of caller ${index}`) : []
          }),
        )
        const found = (await all(store.nodes.iterate())).map(({ nodeId, protocols }) => `${nodeId} of ${protocols}`)
        expect(found.toSorted()).toEqual(expected.flat().toSorted())
      }),
      { runs: bound('RUNS', { brief: backend.slow ? 10 : 30, short: 60, long: 1_000 }) },
    )
  })

  test('of updates that have read the same row exactly one wins each time', () => {
    const callers = fc.array(fc.record({ how: fc.constantFrom('store', 'transaction'), pause }), {
      minLength: 2,
      maxLength: 12,
    })
    return assertProperty(
      `ifUpdatedAt, ${backend.name}`,
      fc.asyncProperty(callers, async (each) => {
        await using opened = await backend.open()
        const { store } = opened
        const read = await store.nodes.create(node('a'))
        const won = await Promise.all(
          each.map(async ({ how: where, pause: turns }, index) => {
            await later(turns)
            const update = ({ nodes }: Repositories) =>
              nodes.update('a', { routesDiscovered: index }, { ifUpdatedAt: read.updatedAt })
            return (await perform(store, where as How, update)) ? [index] : []
          }),
        )
        expect(won.flat()).toEqual([(await store.nodes.get('a'))?.routesDiscovered])
      }),
      { runs: bound('RUNS', { brief: backend.slow ? 10 : 30, short: 60, long: 1_000 }) },
    )
  })

  test('of callers of getOrCompute each gets the bundle of its key, computed once', () => {
    const caller = fc.record({ pause, k: fc.integer({ min: 1, max: 3 }), compute: pause })
    return assertProperty(
      `getOrCompute, ${backend.name}`,
      fc.asyncProperty(fc.array(caller, { minLength: 2, maxLength: 30, size: 'max' }), async (callers) => {
        await using opened = await backend.open()
        const { pathCache } = opened.store
        const computed: number[] = []
        await Promise.all(
          callers.map(async (each) => {
            await later(each.pause)
            const key = { source: 'a', destination: 'b', k: each.k }
            const found = await pathCache.getOrCompute(key, async () => {
              computed.push(each.k)
              await later(each.compute)
              return { source: 'a', destination: 'b', primary: [{ nodes: ['a'], total_weight: each.k }] }
            })
            expect(found.primary).toEqual([{ nodes: ['a'], total_weight: each.k }])
          }),
        )
        expect(computed.toSorted()).toEqual([...new Set(callers.map(({ k }) => k))].toSorted())
      }),
      { runs: bound('RUNS', { brief: backend.slow ? 10 : 30, short: 60, long: 1_000 }) },
    )
  })
})
