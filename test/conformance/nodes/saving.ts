import { expect, test } from 'vitest'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { manyNodes, node } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

export function saving({ run }: Setting): void {
  test('save adds a node that is not there, as create does', () =>
    run(async ({ nodes, clock }) => {
      const saved = await nodes.save(node('gw-1', { started: true }))
      const times = { createdAt: clock.now(), updatedAt: clock.now() }
      expect(saved).toEqual({ ...node('gw-1'), started: true, routesDiscovered: 0, ...times })
      expect(await nodes.get('gw-1')).toEqual(saved)
    }))

  test('save replaces the fields given, leaves the others, and keeps createdAt', () =>
    run(async ({ nodes, clock }) => {
      const created = await nodes.create(node('gw-1', { started: true, routesDiscovered: 5 }))
      clock.advance(1_000)
      const saved = await nodes.save(node('gw-1', { protocols: ['cjdns'], routesDiscovered: undefined }))
      expect(saved).toEqual({ ...created, protocols: ['cjdns'], updatedAt: clock.now() })
      expect(await nodes.get('gw-1')).toEqual(saved)
      const stopped = await nodes.save(node('gw-1', { started: false }))
      expect(stopped).toMatchObject({ started: false, routesDiscovered: 5 })
      const counted = await nodes.save(node('gw-1', { routesDiscovered: 0 }))
      expect(counted).toMatchObject({ started: false, routesDiscovered: 0, createdAt: created.createdAt })
    }))

  test('what was read can be saved again; the times of it are ignored', () =>
    run(async ({ nodes, clock }) => {
      const created = await nodes.create(node('gw-1', { started: true }))
      clock.advance(1_000)
      const read = await nodes.get('gw-1')
      if (read === undefined) throw new Error('The row is missing.')
      const saved = await nodes.save({ ...read, protocols: [...read.protocols, 'cjdns'] })
      const expected = { ...created, protocols: ['batman-adv', 'cjdns'], updatedAt: clock.now() }
      expect(saved).toEqual(expected)
      expect(await nodes.save(saved)).toEqual({ ...expected, updatedAt: clock.after(1) })
    }))

  test('save ignores times that are given, whether or not the node is there', () =>
    run(async ({ nodes, clock }) => {
      const times = { createdAt: new Date(0), updatedAt: new Date('2100-01-01') }
      const added = await nodes.save(node('gw-1', times))
      expect(added).toMatchObject({ createdAt: clock.now(), updatedAt: clock.now() })
      clock.advance(7)
      const saved = await nodes.save(node('gw-1', times))
      expect(saved).toMatchObject({ createdAt: added.createdAt, updatedAt: clock.now() })
    }))

  test('save moves updatedAt by a millisecond where the clock stands or goes back', () =>
    run(async ({ nodes, clock }) => {
      const { updatedAt } = await nodes.save(node('gw-1'))
      expect((await nodes.save(node('gw-1'))).updatedAt).toEqual(clock.after(1))
      clock.advance(-1_000)
      expect((await nodes.save(node('gw-1'))).updatedAt).toEqual(new Date(updatedAt.getTime() + 2))
    }))

  test('save says whether it added the node', () =>
    run(async ({ nodes, clock }) => {
      const added = await nodes.save(node('gw-1', { started: true, createdAt: new Date(0) }), { outcome: true })
      const times = { createdAt: clock.now(), updatedAt: clock.now() }
      expect(added).toEqual({ row: { ...node('gw-1'), started: true, routesDiscovered: 0, ...times }, created: true })
      clock.advance(5)
      const saved = await nodes.save(node('gw-1', { routesDiscovered: 3 }), { outcome: true })
      expect(saved).toEqual({ row: { ...added.row, routesDiscovered: 3, updatedAt: clock.now() }, created: false })
      expect(await nodes.get('gw-1')).toEqual(saved.row)
      const outcomes = await Promise.all([
        nodes.delete('gw-1'),
        nodes.save(node('gw-1'), { outcome: true }),
        nodes.save(node('gw-1'), { outcome: true }),
      ])
      expect(outcomes.slice(1)).toMatchObject([{ created: true }, { created: false }])
      await expectRefused(nodes.save(node('gw-1'), { outcome: 1 as never }), 'outcome')
      await expectRefused(nodes.save(node('gw-1'), { nope: true } as never), 'nope')
    }))

  test('save refuses what create refuses', () =>
    run(async ({ nodes }) => {
      await expectRefused(nodes.save(node('', { interfaces: ['a', '\ud800'] })), 'nodeId', 'interfaces[1]')
      await expectRefused(nodes.save({ ...node('a'), weight: 1 } as never), 'weight')
      expect(await nodes.count()).toBe(0)
    }))

  test('saveMany saves in order: of two with the same id the later one stays', () =>
    run(async ({ nodes }) => {
      const there = await nodes.create(node('b', { started: true }))
      const saved = await nodes.saveMany([
        node('c'),
        node('b', { interfaces: [] }),
        node('a'),
        node('c', { started: true, protocols: ['aodv'] }),
      ])
      expect(saved.map(({ nodeId }) => nodeId)).toEqual(['c', 'b', 'a', 'c'])
      expect(saved[1]).toMatchObject({ interfaces: [], started: true, createdAt: there.createdAt })
      expect(saved[3]).toMatchObject({ started: true, protocols: ['aodv'] })
      expect(await nodes.list()).toEqual([saved[2], saved[1], saved[3]])
    }))

  test('saveMany saves none if one is refused', () =>
    run(async ({ nodes }) => {
      const there = await nodes.create(node('a'))
      await expectRefused(nodes.saveMany([node('a', { started: true }), node('b\0')]), '[1].nodeId')
      expect(await nodes.list()).toEqual([there])
      expect(await nodes.saveMany([])).toEqual([])
    }))

  test('saveMany takes thousands', () =>
    run(async ({ nodes }) => {
      const many = manyNodes(1_500)
      await nodes.saveMany(many)
      const saved = await nodes.saveMany(many.map((row) => ({ ...row, started: true })))
      expect(saved).toHaveLength(1_500)
      expect(await nodes.count({ started: true })).toBe(1_500)
    }))

  test('of many that save one new node none fails', () =>
    run(async ({ nodes }) => {
      const saved = await Promise.all(Array.from({ length: 50 }, () => nodes.save(node('gw-1'))))
      expect(new Set(saved.map(({ updatedAt }) => updatedAt.getTime())).size, 'each is a change').toBe(50)
      expect(await nodes.count()).toBe(1)
      await expectCode(nodes.create(node('gw-1')), 'ALREADY_EXISTS')
    }))
}
