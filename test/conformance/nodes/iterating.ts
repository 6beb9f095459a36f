import { expect, test } from 'vitest'
import { all, expectRefused, IDS_BY_BYTES } from '../../support/expectations.ts'
import { manyNodes, node, numbered } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'
import { recordStatements } from '../../support/tracing.ts'

/** More than two pages, whatever a page is. */
const MANY = 1_234

export function iterating({ run }: Setting): void {
  test('iterate gives every row, in the order of the UTF-8 bytes of the ids', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(IDS_BY_BYTES.toReversed().map((id) => node(id)))
      expect(await all(nodes.iterate())).toEqual(await nodes.list())
    }))

  test('iterate reads bounded pages and each row once', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(MANY))
      using recorded = recordStatements()
      const found = await all(nodes.iterate())
      expect(found.map(({ nodeId }) => nodeId)).toEqual(manyNodes(MANY).map(({ nodeId }) => nodeId))
      const pages = recorded.events.map(({ rows }) => rows ?? 0)
      expect(Math.max(...pages)).toBeLessThanOrEqual(500)
      expect(pages.reduce((sum, rows) => sum + rows, 0)).toBe(MANY)
    }))

  test('iterate gives what matches the filter, however much lies between', () =>
    run(async ({ nodes }) => {
      const many = manyNodes(MANY).map((row, index) => ({ ...row, started: index % 400 === 399 }))
      await nodes.createMany(many)
      const found = await all(nodes.iterate({ started: true, protocol: 'batman-adv', interface: 'wlan0' }))
      expect(found.map(({ nodeId }) => nodeId)).toEqual(['n-0399', 'n-0799', 'n-1199'])
      expect(await all(nodes.iterate({ protocol: 'cjdns' }))).toEqual([])
    }))

  test('each id comes at most once while rows are added, changed and deleted', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(MANY))
      const seen: string[] = []
      for await (const { nodeId } of nodes.iterate()) {
        seen.push(nodeId)
        if (seen.length % 100 !== 0) continue
        const turn = seen.length / 100
        await nodes.create(node(`a-${turn}`))
        await nodes.create(node(`${nodeId}-next`))
        await nodes.create(node(`z-${turn}`))
        await nodes.update(nodeId, { started: true })
        await nodes.delete(numbered('n', turn))
        await nodes.delete(numbered('n', MANY - turn))
      }
      expect(seen).toEqual([...new Set(seen)].toSorted())
      expect(
        seen.filter((id) => id.startsWith('a-')),
        'added behind',
      ).toEqual([])
      expect(seen, 'added far ahead').toContain('z-1')
      expect(seen, 'deleted far ahead').not.toContain(numbered('n', MANY - 1))
      const untouched = manyNodes(MANY)
        .map(({ nodeId }) => nodeId)
        .slice(20, -20)
      expect(seen).toEqual(expect.arrayContaining(untouched))
    }))

  test('iterate may be left early, and begun again', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(700))
      const iterable = nodes.iterate()
      for await (const { nodeId } of iterable) if (nodeId === 'n-0600') break
      expect(await all(iterable), 'it has been left').toEqual([])
      expect(await all(nodes.iterate())).toHaveLength(700)
      await nodes.delete('n-0000')
      expect(await nodes.count()).toBe(699)
    }))

  test('two iterations at once do not disturb each other', () =>
    run(async ({ nodes }) => {
      await nodes.createMany(manyNodes(700))
      const [first, second] = await Promise.all([all(nodes.iterate()), all(nodes.iterate({ started: false }))])
      expect(first).toEqual(second)
      expect(first).toHaveLength(700)
    }))

  test('iterate refuses a filter that it does not know when it is begun', () =>
    run(async ({ nodes }) => {
      await expectRefused(all(nodes.iterate({ limit: 3 } as object)), 'limit')
    }))
}
