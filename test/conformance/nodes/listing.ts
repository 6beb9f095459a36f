import { expect, test } from 'vitest'
import type { NodeFilter, NodePage, NodeRepository } from '../../../src/index.ts'
import { all, expectRefused, IDS_BY_BYTES } from '../../support/expectations.ts'
import { manyNodes, node, numbered } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'
import { foreignNode } from './foreign.ts'

const ids = async (nodes: NodeRepository, options?: NodePage): Promise<string[]> =>
  (await nodes.list(options)).map(({ nodeId }) => nodeId)

export function listing({ run }: Setting): void {
  test('list gives whole rows', () =>
    run(async ({ nodes }) => {
      const a = await nodes.create(node('a', { started: true }))
      const b = await nodes.create(node('b'))
      expect(await nodes.list()).toEqual([a, b])
    }))

  test('list orders by the UTF-8 bytes of the ids', () =>
    run(async ({ nodes }) => {
      expect(IDS_BY_BYTES.toSorted(), 'another order than that of UTF-16').not.toEqual(IDS_BY_BYTES)
      await nodes.createMany(IDS_BY_BYTES.toReversed().map((id) => node(id)))
      expect(await ids(nodes)).toEqual(IDS_BY_BYTES)
    }))

  test('list pages by the last id seen, in the order of bytes', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(IDS_BY_BYTES.map((id) => node(id)))
      for (const [index, id] of IDS_BY_BYTES.entries()) {
        expect(await ids(nodes, { after: id })).toEqual(IDS_BY_BYTES.slice(index + 1))
        expect(await ids(nodes, { after: id, limit: 1 })).toEqual(IDS_BY_BYTES.slice(index + 1, index + 2))
      }
    }))

  test('list goes on behind an id that is not there, or no longer', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(3))
      await nodes.delete('n-0001')
      expect(await ids(nodes, { after: 'n-0001' })).toEqual(['n-0002'])
      expect(await ids(nodes, { after: 'm' })).toEqual(['n-0000', 'n-0002'])
      expect(await ids(nodes, { after: 'z' })).toEqual([])
    }))

  test('list gives 100, unless limit says so: 10,000 at most', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(101))
      expect(await ids(nodes)).toEqual(Array.from({ length: 100 }, (_, index) => numbered('n', index)))
      expect(await ids(nodes, { limit: 3 })).toHaveLength(3)
      expect(await ids(nodes, { limit: 10_000 })).toHaveLength(101)
      for (const limit of [0, -1, 1.5, 10_001, Number.NaN]) await expectRefused(nodes.list({ limit }), 'limit')
    }))

  test('list gives what matches every property of the filter', () =>
    run(async ({ nodes }) => {
      for (const started of [true, false]) {
        for (const protocol of ['aodv', 'cjdns']) {
          for (const name of ['eth0', 'wlan0']) {
            const nodeId = `${started ? 'up' : 'down'}-${protocol}-${name}`
            await nodes.create(node(nodeId, { started, protocols: ['other', protocol], interfaces: [name, 'lo'] }))
          }
        }
      }
      expect(await ids(nodes, { started: true })).toHaveLength(4)
      expect(await ids(nodes, { started: false })).toHaveLength(4)
      expect(await ids(nodes, { protocol: 'aodv' })).toHaveLength(4)
      expect(await ids(nodes, { interface: 'lo' })).toHaveLength(8)
      expect(await ids(nodes, { started: true, protocol: 'cjdns' })).toEqual(['up-cjdns-eth0', 'up-cjdns-wlan0'])
      expect(await ids(nodes, { started: false, interface: 'eth0' })).toEqual(['down-aodv-eth0', 'down-cjdns-eth0'])
      expect(await ids(nodes, { protocol: 'aodv', interface: 'wlan0' })).toEqual(['down-aodv-wlan0', 'up-aodv-wlan0'])
      const one = { started: false, protocol: 'aodv', interface: 'wlan0' }
      expect(await ids(nodes, one)).toEqual(['down-aodv-wlan0'])
      expect(await ids(nodes, { started: true, after: 'up-aodv-eth0', limit: 2 })).toEqual([
        'up-aodv-wlan0',
        'up-cjdns-eth0',
      ])
      const absent = { started: undefined, protocol: undefined, interface: undefined, limit: undefined }
      expect(await ids(nodes, { ...absent, after: undefined })).toHaveLength(8)
    }))

  test('list and iterate by updatedAt page by the row, without losing or repeating nodes', () =>
    run(async ({ nodes, clock }) => {
      await nodes.createMany(manyNodes(120))
      for (const index of [7, 3, 110]) {
        clock.advance(5)
        await nodes.update(numbered('n', index), { started: true })
      }
      const old = Array.from({ length: 120 }, (_, index) => numbered('n', index)).filter(
        (id) => !['n-0007', 'n-0003', 'n-0110'].includes(id),
      )
      const expected = [...old, 'n-0007', 'n-0003', 'n-0110']
      for (const descending of [false, true]) {
        const wanted = descending ? expected.toReversed() : expected
        const found: string[] = []
        const options = { orderBy: 'updatedAt', descending, limit: 11 } as const
        for (let rows = await nodes.list(options); rows.length > 0; ) {
          found.push(...rows.map(({ nodeId }) => nodeId))
          rows = await nodes.list({ ...options, after: rows.at(-1) })
        }
        expect(found).toEqual(wanted)
        const iterated = await all(nodes.iterate({ orderBy: 'updatedAt', descending }))
        expect(iterated.map(({ nodeId }) => nodeId)).toEqual(wanted)
        expect(iterated[0]).toEqual(await nodes.get(wanted[0] ?? ''))
      }
      expect(await ids(nodes, { orderBy: 'updatedAt', descending: true, started: true })).toEqual([
        'n-0110',
        'n-0003',
        'n-0007',
      ])
      expect(await ids(nodes, { orderBy: 'updatedAt', prefix: 'n-000', limit: 2 })).toEqual(['n-0000', 'n-0001'])
      expect(await ids(nodes, { orderBy: 'nodeId', descending: true, prefix: 'n-001', limit: 2 })).toEqual([
        'n-0019',
        'n-0018',
      ])
      expect(await ids(nodes, { descending: true, prefix: 'n-001', after: 'n-0012' })).toEqual(['n-0011', 'n-0010'])
      expect(await nodes.count({ prefix: 'n-001' })).toBe(10)
    }))

  test('pages by updatedAt have every row that another program wrote in one millisecond, once', () =>
    run(
      async ({ nodes }) => {
        const wanted = Array.from({ length: 30 }, (_, index) => numbered('n', index))
        for (const descending of [false, true]) {
          const found: string[] = []
          const options = { orderBy: 'updatedAt', descending, limit: 1 } as const
          for (let rows = await nodes.list(options); rows.length > 0 && found.length < 40; ) {
            found.push(...rows.map(({ nodeId }) => nodeId))
            rows = await nodes.list({ ...options, after: structuredClone(rows.at(-1)) })
          }
          expect(found).toEqual(descending ? wanted.toReversed() : wanted)
          const iterated = await all(nodes.iterate({ orderBy: 'updatedAt', descending, protocol: 'batman-adv' }))
          expect(iterated.map(({ nodeId }) => nodeId)).toEqual(found)
        }
      },
      {
        before: async ({ other }) => {
          // Microseconds, as Python writes them: half of them are rounded up.
          for (let index = 0; index < 30; index++)
            await other.insert('nodes', {
              ...foreignNode(numbered('n', index)),
              protocols: '["batman-adv"]',
              updated_at: 1_762_300_800 + index * 0.000_1,
            })
        },
      },
    ))

  test('what no order can be, and no place in it, is refused', () =>
    run(async ({ nodes }) => {
      await expectRefused(nodes.list({ orderBy: 'createdAt' as never }), 'orderBy')
      await expectRefused(nodes.list({ descending: 1 as never }), 'descending')
      await expectRefused(nodes.list({ prefix: '' }), 'prefix')
      await expectRefused(nodes.list({ orderBy: 'updatedAt', after: 'n-1' }), 'after')
      await expectRefused(nodes.list({ orderBy: 'updatedAt', after: { nodeId: 'n-1' } as never }), 'after')
      await expectRefused(nodes.list({ after: { nodeId: 5 } as never }), 'after')
      await expectRefused(nodes.list({ after: null as never }), 'after')
      await expectRefused(all(nodes.iterate({ limit: 5 } as never)), 'limit')
    }))

  test('a filter compares whole names, whatever they hold', () =>
    run(async ({ nodes }) => {
      const odd = `it's "odd" \\ [%] \u{1f600}`
      await nodes.create(node('a', { protocols: ['batman-adv'], interfaces: ['eth0'] }))
      await nodes.create(node('b', { protocols: [odd], interfaces: ['1'] }))
      await nodes.create(node('c', { protocols: [], interfaces: [] }))
      expect(await ids(nodes, { protocol: odd })).toEqual(['b'])
      expect(await ids(nodes, { interface: '1' })).toEqual(['b'])
      for (const protocol of ['batman', 'batman-adv ', 'BATMAN-ADV', '%', 'batman_adv', '[]', '"batman-adv"']) {
        expect(await ids(nodes, { protocol })).toEqual([])
      }
    }))

  test('list and count refuse a filter that they do not know', () =>
    run(async ({ nodes }) => {
      const unknown = { protocols: 'aodv' } as NodeFilter
      await expectRefused(nodes.list(unknown), 'protocols')
      await expectRefused(nodes.count(unknown), 'protocols')
      await expectRefused(nodes.list({ started: 1, protocol: '', after: '' } as object), 'started', 'protocol', 'after')
    }))
}
