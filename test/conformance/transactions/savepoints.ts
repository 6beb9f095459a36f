import { expect, test } from 'vitest'
import type { NodeRepository } from '../../../src/index.ts'
import type { Backend } from '../../support/backends.ts'
import { expectCode } from '../../support/expectations.ts'
import { gate } from '../../support/gate.ts'
import { manyNodes, node } from '../../support/samples.ts'

const ids = async (nodes: NodeRepository): Promise<string[]> => (await nodes.list()).map(({ nodeId }) => nodeId)

export function savepoints(backend: Backend): void {
  test('a savepoint that throws is undone, and the outer transaction goes on', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.transaction(async (tx) => {
      await tx.nodes.create(node('before'))
      const inner = tx.transaction(async (nested) => {
        await nested.nodes.create(node('inside'))
        await nested.nodes.update('before', { started: true })
        throw new Error('undo')
      })
      await expect(inner).rejects.toThrow('undo')
      expect(await tx.nodes.get('before')).toMatchObject({ started: false })
      await tx.nodes.create(node('after'))
    })
    expect(await ids(store.nodes)).toEqual(['after', 'before'])
  })

  test('a savepoint that succeeded is undone with the outer transaction', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const outer = store.transaction(async (tx) => {
      await tx.transaction((nested) => nested.nodes.create(node('inside')))
      throw new Error('undo')
    })
    await expect(outer).rejects.toThrow('undo')
    expect(await store.nodes.count()).toBe(0)
  })

  test('savepoints nest, and each undoes its own', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const undone = async (work: Promise<unknown>): Promise<void> => expect(work).rejects.toThrow('undo')
    await store.transaction(async (tx) => {
      await tx.nodes.create(node('1'))
      await tx.transaction(async (second) => {
        await second.nodes.create(node('2'))
        const third = second.transaction(async (inner) => {
          await inner.nodes.create(node('3'))
          await inner.transaction((fourth) => fourth.nodes.create(node('4')))
          throw new Error('undo')
        })
        await undone(third)
        await second.transaction((inner) => inner.nodes.create(node('3 again')))
      })
      await tx.nodes.create(node('1 again'))
    })
    expect(await ids(store.nodes)).toEqual(['1', '1 again', '2', '3 again'])
  })

  test('savepoints that are not waited for come one after the other', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.transaction(async (tx) => {
      const units = Array.from({ length: 10 }, (_, turn) =>
        tx.transaction(async (nested) => {
          await nested.nodes.create(node(`${turn} first`))
          await nested.nodes.create(node(`${turn} second`))
          if (turn % 2 === 1) throw new Error('undo')
        }),
      )
      const between = tx.nodes.create(node('between'))
      const many = tx.nodes.createMany(manyNodes(600))
      const outcomes = await Promise.allSettled([...units, between, many])
      const expected = [
        ...units.map((_, turn) => (turn % 2 === 1 ? 'rejected' : 'fulfilled')),
        'fulfilled',
        'fulfilled',
      ]
      expect(outcomes.map(({ status }) => status)).toEqual(expected)
    })
    const expected = [0, 2, 4, 6, 8].flatMap((turn) => [`${turn} first`, `${turn} second`])
    expect((await ids(store.nodes)).slice(0, 11)).toEqual([...expected, 'between'])
    expect(await store.nodes.count()).toBe(611)
  })

  test('using the outer transaction inside of a savepoint of it is MISUSE, and leaves both usable', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.transaction(async (tx) => {
      await tx.transaction(async (nested) => {
        await expectCode(tx.nodes.create(node('wrong')), 'MISUSE')
        await expectCode(tx.nodes.createMany([node('wrong')]), 'MISUSE')
        await expectCode(tx.nodes.get('wrong'), 'MISUSE')
        await expectCode(
          tx.transaction(async () => 'reached'),
          'MISUSE',
        )
        await expectCode(store.nodes.count(), 'MISUSE')
        await nested.nodes.create(node('inner'))
      })
      await tx.nodes.create(node('outer'))
    })
    expect(await ids(store.nodes)).toEqual(['inner', 'outer'])
  })

  test('a transaction whose callback left a savepoint open commits all of the savepoint or nothing', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const written = gate()
    const goOn = gate()
    let inner: Promise<unknown> = Promise.resolve()
    const outer = store.transaction(async (tx) => {
      inner = tx.transaction(async (nested) => {
        await nested.nodes.create(node('half'))
        written.open()
        await goOn.opened
        await nested.nodes.create(node('other half'))
      })
      inner.catch(() => {})
      await written.opened
    })
    // Time enough for a commit that does not look whether a savepoint is open.
    const outcome = outer.then(
      () => 'committed',
      () => 'undone',
    )
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    goOn.open()
    const innerOutcome = await inner.then(
      () => 'committed',
      () => 'undone',
    )
    const all = (await outcome) === 'committed' && innerOutcome === 'committed'
    expect(await ids(store.nodes)).toEqual(all ? ['half', 'other half'] : [])
  })
}
