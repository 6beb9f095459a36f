import { expect, test } from 'vitest'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { node } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

export function bulk({ run }: Setting): void {
  test('updateMany changes the nodes that match, and advances updatedAt', () =>
    run(async ({ nodes, clock }) => {
      const [first, second] = await nodes.createMany([
        node('a', { started: true }),
        node('b'),
        node('c', { protocols: ['aodv'] }),
      ])
      expect(
        await nodes.updateMany({ started: true, protocol: 'batman-adv' }, { started: false, routesDiscovered: 4 }),
      ).toBe(1)
      expect(await nodes.get('a')).toEqual({ ...first, started: false, routesDiscovered: 4, updatedAt: clock.after(1) })
      expect(await nodes.get('b')).toEqual(second)
      clock.advance(1_000)
      expect(await nodes.updateMany({ interface: 'eth0' }, { interfaces: ['lo'] })).toBe(3)
      expect(await nodes.updateMany({ interface: 'eth0' }, {})).toBe(0)
      expect(await nodes.updateMany({ interface: 'lo' }, {})).toBe(3)
      expect(await nodes.get('b')).toEqual({ ...second, interfaces: ['lo'], updatedAt: clock.after(1) })
    }))

  test('deleteMany deletes the nodes that match', () =>
    run(async ({ nodes }) => {
      await nodes.createMany([
        node('a', { started: true }),
        node('b', { started: true, protocols: ['aodv'] }),
        node('c'),
      ])
      expect(await nodes.deleteMany({ started: true, protocol: 'aodv' })).toBe(1)
      expect((await nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['a', 'c'])
      expect(await nodes.deleteMany({ interface: 'none' })).toBe(0)
    }))

  test('an empty filter, and one that is not known, are refused', () =>
    run(async ({ nodes }) => {
      await nodes.create(node('a'))
      await expectRefused(nodes.deleteMany({}), '')
      await expectRefused(nodes.deleteMany({ started: undefined }), '')
      await expectRefused(nodes.updateMany({}, { started: true }), '')
      await expectRefused(nodes.updateMany({ started: false }, { nodeId: 'x' } as never), 'nodeId')
      await expectRefused(nodes.deleteMany({ nope: 1 } as never), 'nope')
      expect(await nodes.count()).toBe(1)
    }))

  test('calls that are not awaited take effect in their order', () =>
    run(async ({ nodes }) => {
      const outcomes = await Promise.all([
        nodes.createMany([node('a'), node('b')]),
        nodes.updateMany({ started: false }, { started: true }),
        nodes.save(node('b', { started: false })),
        nodes.deleteMany({ started: true }),
        nodes.create(node('a')),
      ])
      expect([outcomes[1], outcomes[3]]).toEqual([2, 1])
      expect((await nodes.list()).map(({ nodeId, started }) => [nodeId, started])).toEqual([
        ['a', false],
        ['b', false],
      ])
    }))

  test('delete with ifUpdatedAt rejects with CONFLICT if the node has changed', () =>
    run(async ({ nodes }) => {
      const { updatedAt } = await nodes.create(node('a'))
      const updated = await nodes.update('a', { started: true })
      await expectCode(nodes.delete('a', { ifUpdatedAt: updatedAt }), 'CONFLICT')
      expect(await nodes.get('a')).toEqual(updated)
      expect(await nodes.delete('a', { ifUpdatedAt: updated.updatedAt })).toBe(true)
      expect(await nodes.delete('a', { ifUpdatedAt: updated.updatedAt })).toBe(false)
    }))
}
