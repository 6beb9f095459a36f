import { expect, test } from 'vitest'
import { expectRefused } from '../../support/expectations.ts'
import { manyNodes, node, numbered } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

export function reading({ run }: Setting): void {
  test('get gives undefined for a node that is not there', () =>
    run(async ({ nodes }) => {
      await nodes.create(node('gw-1'))
      expect(await nodes.get('gw-2')).toBeUndefined()
      expect(await nodes.get('gw-')).toBeUndefined()
      expect(await nodes.get('GW-1')).toBeUndefined()
    }))

  test('what get returned may be changed without reaching the store', () =>
    run(async ({ nodes }) => {
      await nodes.create(node('gw-1'))
      const read = await nodes.get('gw-1')
      read?.interfaces.push('intruder')
      read?.createdAt.setTime(0)
      expect(await nodes.get('gw-1')).not.toEqual(read)
    }))

  test('getMany gives those that exist, in the order asked for', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(4))
      const found = await nodes.getMany(['n-0003', 'missing', 'n-0000', 'n-0002'])
      expect(found.map(({ nodeId }) => nodeId)).toEqual(['n-0003', 'n-0000', 'n-0002'])
    }))

  test('getMany gives a node as often as it is asked for', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(2))
      const found = await nodes.getMany(['n-0001', 'n-0000', 'n-0001'])
      expect(found.map(({ nodeId }) => nodeId)).toEqual(['n-0001', 'n-0000', 'n-0001'])
    }))

  test('getMany of nothing is nothing', () =>
    run(async ({ nodes }) => {
      await nodes.create(node('gw-1'))
      expect(await nodes.getMany([])).toEqual([])
    }))

  test('getMany takes 10,000 ids and no more', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(3))
      const asked = Array.from({ length: 10_000 }, (_, index) => numbered('n', 9_999 - index))
      expect((await nodes.getMany(asked)).map(({ nodeId }) => nodeId)).toEqual(['n-0002', 'n-0001', 'n-0000'])
      await expectRefused(nodes.getMany([...asked, 'n-0000']), 'nodeIds')
    }))

  test('getMany says which id it refuses', () =>
    run(async ({ nodes }) => {
      await expectRefused(nodes.getMany(['a', '', 'b\0']), 'nodeIds[1]', 'nodeIds[2]')
    }))

  test('count counts what matches the filter', () =>
    run(async ({ nodes }) => {
      expect(await nodes.count()).toBe(0)
      await nodes.create(node('a', { started: true, protocols: ['cjdns'] }))
      await nodes.create(node('b', { started: true, protocols: ['aodv', 'cjdns'], interfaces: ['lo'] }))
      await nodes.create(node('c'))
      expect(await nodes.count()).toBe(3)
      expect(await nodes.count({})).toBe(3)
      expect(await nodes.count({ started: true })).toBe(2)
      expect(await nodes.count({ started: false })).toBe(1)
      expect(await nodes.count({ protocol: 'cjdns' })).toBe(2)
      expect(await nodes.count({ interface: 'lo' })).toBe(1)
      expect(await nodes.count({ started: true, protocol: 'cjdns', interface: 'eth0' })).toBe(1)
      expect(await nodes.count({ started: false, protocol: 'cjdns' })).toBe(0)
    }))
}
