import { expect, test } from 'vitest'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { node } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const MOST = 2_147_483_647

export function recordingRoutes({ run }: Setting): void {
  test('recordRoutes adds 1, or as many as are given, and leaves everything else alone', () =>
    run(async ({ nodes, clock }) => {
      const created = await nodes.create(node('gw-1', { routesDiscovered: 10, started: true }))
      clock.advance(1_000)
      expect(await nodes.recordRoutes('gw-1')).toEqual({ ...created, routesDiscovered: 11 })
      expect(await nodes.recordRoutes('gw-1', 5)).toEqual({ ...created, routesDiscovered: 16 })
      expect(await nodes.recordRoutes('gw-1', 0)).toEqual({ ...created, routesDiscovered: 16 })
      expect(await nodes.get('gw-1')).toEqual({ ...created, routesDiscovered: 16 })
    }))

  test('recordRoutes does not disturb an update that checks updatedAt', () =>
    run(async ({ nodes }) => {
      const { updatedAt } = await nodes.create(node('gw-1'))
      await nodes.recordRoutes('gw-1')
      const updated = await nodes.update('gw-1', { started: true }, { ifUpdatedAt: updatedAt })
      expect(updated.routesDiscovered).toBe(1)
    }))

  test('of 1,000 at once none is lost, and each sees its own', () =>
    run(async ({ nodes }) => {
      await nodes.create(node('gw-1'))
      const recorded = await Promise.all(Array.from({ length: 1_000 }, () => nodes.recordRoutes('gw-1')))
      const counts = recorded.map(({ routesDiscovered }) => routesDiscovered).toSorted((a, b) => a - b)
      expect(counts).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1))
      expect((await nodes.get('gw-1'))?.routesDiscovered).toBe(1_000)
    }))

  test('none is lost between single ones, units of several, and updates of other fields', () =>
    run(async ({ nodes, transaction }) => {
      await nodes.create(node('gw-1'))
      const unit = (turn: number): Promise<unknown> =>
        transaction(async (tx) => {
          await tx.nodes.recordRoutes('gw-1', 2)
          const read = await tx.nodes.get('gw-1')
          await tx.nodes.update('gw-1', { started: turn % 2 === 0 })
          expect((await tx.nodes.recordRoutes('gw-1', 3)).routesDiscovered).toBe((read?.routesDiscovered ?? 0) + 3)
        })
      const all = Array.from({ length: 60 }, (_, turn) => {
        if (turn % 3 === 0) return unit(turn)
        return turn % 3 === 1 ? nodes.recordRoutes('gw-1') : nodes.update('gw-1', { protocols: [`p${turn}`] })
      })
      await Promise.all(all)
      expect((await nodes.get('gw-1'))?.routesDiscovered).toBe(20 * 5 + 20)
    }))

  test('recordRoutes rejects with NOT_FOUND for a node that is not there', () =>
    run(async ({ nodes }) => {
      await expectCode(nodes.recordRoutes('gw-1'), 'NOT_FOUND')
    }))

  test('recordRoutes counts up to 2,147,483,647 and refuses what goes beyond', () =>
    run(async ({ nodes }) => {
      await nodes.create(node('gw-1', { routesDiscovered: MOST - 2 }))
      expect((await nodes.recordRoutes('gw-1', 2)).routesDiscovered).toBe(MOST)
      await expectRefused(nodes.recordRoutes('gw-1'), 'discovered')
      await expectRefused(nodes.recordRoutes('gw-1', MOST), 'discovered')
      expect((await nodes.recordRoutes('gw-1', 0)).routesDiscovered).toBe(MOST)
    }))

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, MOST + 1, '1'])('recordRoutes refuses %s', (discovered) =>
    run(async ({ nodes }) => {
      const created = await nodes.create(node('gw-1'))
      await expectRefused(nodes.recordRoutes('gw-1', discovered as number), 'discovered')
      expect(await nodes.get('gw-1')).toEqual(created)
    }),
  )
}

export function deleting({ run }: Setting): void {
  test('delete says whether there was such a node', () =>
    run(async ({ nodes }) => {
      await nodes.create(node('gw-1'))
      const other = await nodes.create(node('gw-2'))
      expect(await nodes.delete('gw-1')).toBe(true)
      expect(await nodes.delete('gw-1')).toBe(false)
      expect(await nodes.list()).toEqual([other])
    }))

  test('a deleted node may be created anew, with nothing of the old one', () =>
    run(async ({ nodes, clock }) => {
      await nodes.create(node('gw-1', { started: true, routesDiscovered: 5 }))
      await nodes.delete('gw-1')
      clock.advance(1)
      const created = await nodes.create(node('gw-1'))
      expect(created).toMatchObject({ started: false, routesDiscovered: 0, createdAt: clock.now() })
    }))

  test('of many that delete one node exactly one was it', () =>
    run(async ({ nodes }) => {
      await nodes.create(node('gw-1'))
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => nodes.delete('gw-1')))
      expect(outcomes.filter(Boolean)).toHaveLength(1)
    }))
}
