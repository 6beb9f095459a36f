import { expect, test } from 'vitest'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { manyNodes, node } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

export function creating({ run }: Setting): void {
  test('create returns the row that get gives from then on', () =>
    run(async ({ nodes }) => {
      const created = await nodes.create(node('gw-1', { started: true, routesDiscovered: 7 }))
      expect(created).toMatchObject(node('gw-1', { started: true, routesDiscovered: 7 }))
      expect(await nodes.get('gw-1')).toEqual(created)
    }))

  test('create fills in what is not given: not started, no routes, both times now', () =>
    run(async ({ nodes, clock }) => {
      const expected = { ...node('gw-1'), started: false, routesDiscovered: 0 }
      expect(await nodes.create(node('gw-1'))).toEqual({ ...expected, createdAt: clock.now(), updatedAt: clock.now() })
    }))

  test('create takes an undefined as absent', () =>
    run(async ({ nodes, clock }) => {
      const absent = { started: undefined, routesDiscovered: undefined, createdAt: undefined, updatedAt: undefined }
      const created = await nodes.create(node('gw-1', absent))
      expect(created).toMatchObject({ started: false, routesDiscovered: 0, createdAt: clock.now() })
    }))

  test('create keeps a createdAt that is given, and sets updatedAt itself', () =>
    run(async ({ nodes, clock }) => {
      const createdAt = new Date('2001-02-03T04:05:06.789Z')
      const created = await nodes.create(node('gw-1', { createdAt, updatedAt: createdAt }))
      expect(created).toMatchObject({ createdAt, updatedAt: clock.now() })
      expect(await nodes.get('gw-1')).toEqual(created)
    }))

  test('create keeps lists as they are: empty, with repetitions, in their order', () =>
    run(async ({ nodes }) => {
      const lists = { interfaces: [], protocols: ['cjdns', 'aodv', 'cjdns', '"quoted" \\ ä \u{1f600}\n'] }
      await nodes.create(node('gw-1', lists))
      expect(await nodes.get('gw-1')).toMatchObject(lists)
    }))

  test('create rejects with ALREADY_EXISTS for an id that is there, and changes nothing', () =>
    run(async ({ nodes, clock }) => {
      const first = await nodes.create(node('gw-1'))
      clock.advance(1_000)
      const error = await expectCode(nodes.create(node('gw-1', { started: true })), 'ALREADY_EXISTS')
      expect(error.retryable).toBe(false)
      expect(await nodes.get('gw-1')).toEqual(first)
    }))

  test('ids are told apart by every character', () =>
    run(async ({ nodes }) => {
      // The last two look the same: composed, and with a combining mark.
      const ids = ['a', 'A', 'a ', ' a', 'a%', 'a_', '\u00e4', 'a\u0308']
      for (const id of ids) await nodes.create(node(id))
      expect(await nodes.count()).toBe(ids.length)
      for (const id of ids) expect((await nodes.get(id))?.nodeId).toBe(id)
    }))

  test('what create returned may be changed without reaching the store', () =>
    run(async ({ nodes }) => {
      const created = await nodes.create(node('gw-1'))
      created.interfaces.push('intruder')
      expect((await nodes.get('gw-1'))?.interfaces).toEqual(node('gw-1').interfaces)
    }))

  test('createMany returns the rows in the order given', () =>
    run(async ({ nodes }) => {
      const created = await nodes.createMany([node('c'), node('a', { started: true }), node('b')])
      expect(created.map(({ nodeId }) => nodeId)).toEqual(['c', 'a', 'b'])
      expect(await nodes.getMany(['c', 'a', 'b'])).toEqual(created)
    }))

  test('createMany keeps each createdAt that is given', () =>
    run(async ({ nodes, clock }) => {
      const createdAt = new Date('2001-02-03T04:05:06.789Z')
      const created = await nodes.createMany([node('a', { createdAt }), node('b')])
      expect(created.map((row) => row.createdAt)).toEqual([createdAt, clock.now()])
    }))

  test('createMany of nothing is nothing', () =>
    run(async ({ nodes }) => {
      expect(await nodes.createMany([])).toEqual([])
      expect(await nodes.count()).toBe(0)
    }))

  test('createMany adds none if one is there already', () =>
    run(async ({ nodes }) => {
      const there = await nodes.create(node('b', { started: true }))
      await expectCode(nodes.createMany([node('a'), node('b'), node('c')]), 'ALREADY_EXISTS')
      expect(await nodes.list()).toEqual([there])
    }))

  test('createMany adds none if two of them have the same id', () =>
    run(async ({ nodes }) => {
      await expectCode(nodes.createMany([node('a'), node('b'), node('a')]), 'ALREADY_EXISTS')
      expect(await nodes.count()).toBe(0)
    }))

  test('createMany adds none if one is refused, and says which', () =>
    run(async ({ nodes }) => {
      const bad = node('f', { interfaces: ['a', 'b', 'c', ''] })
      await expectRefused(nodes.createMany([...manyNodes(5), bad]), '[5].interfaces[3]')
      expect(await nodes.count()).toBe(0)
    }))

  test('createMany takes thousands, all or none', () =>
    run(async ({ nodes }) => {
      const many = manyNodes(2_345)
      await expectCode(nodes.createMany([...many, node('n-0000')]), 'ALREADY_EXISTS')
      expect(await nodes.count()).toBe(0)
      const created = await nodes.createMany(many)
      expect(created.map(({ nodeId }) => nodeId)).toEqual(many.map(({ nodeId }) => nodeId))
      expect(await nodes.count()).toBe(2_345)
    }))
}
