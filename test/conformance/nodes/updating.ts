import { expect, test } from 'vitest'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import type { Row } from '../../support/other-program.ts'
import { node } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'
import { foreignNode } from './foreign.ts'

export function updating({ run, backend }: Setting): void {
  test('update changes the fields given, leaves the others, and returns the row', () =>
    run(async ({ nodes, clock }) => {
      const created = await nodes.create(node('gw-1'))
      clock.advance(5_000)
      const changes = { protocols: ['cjdns'], started: true }
      const updated = await nodes.update('gw-1', changes)
      expect(updated).toEqual({ ...created, ...changes, updatedAt: clock.now() })
      expect(await nodes.get('gw-1')).toEqual(updated)
    }))

  test.each([
    { interfaces: ['lo'] },
    { interfaces: [] },
    { protocols: ['aodv', 'cjdns'] },
    { started: false },
    { routesDiscovered: -3 },
    { interfaces: ['lo'], protocols: [], started: false, routesDiscovered: 0 },
  ])('update takes %j', (patch) =>
    run(async ({ nodes, clock }) => {
      const created = await nodes.create(node('gw-1', { started: true, routesDiscovered: 5 }))
      const other = await nodes.create(node('gw-2'))
      clock.advance(1)
      expect(await nodes.update('gw-1', patch)).toEqual({ ...created, ...patch, updatedAt: clock.now() })
      expect(await nodes.get('gw-2')).toEqual(other)
    }),
  )

  test('in a patch undefined means absent', () =>
    run(async ({ nodes, clock }) => {
      const created = await nodes.create(node('gw-1', { started: true }))
      clock.advance(1)
      const patch = { started: undefined, interfaces: undefined, protocols: undefined, routesDiscovered: 9 }
      expect(await nodes.update('gw-1', patch)).toEqual({ ...created, routesDiscovered: 9, updatedAt: clock.now() })
    }))

  test('an empty patch moves updatedAt alone', () =>
    run(async ({ nodes, clock }) => {
      const created = await nodes.create(node('gw-1'))
      clock.advance(10)
      expect(await nodes.update('gw-1', {})).toEqual({ ...created, updatedAt: clock.now() })
    }))

  test('update rejects with NOT_FOUND for a node that is not there, and adds none', () =>
    run(async ({ nodes, clock }) => {
      await expectCode(nodes.update('gw-1', { started: true }), 'NOT_FOUND')
      await expectCode(nodes.update('gw-1', {}, { ifUpdatedAt: clock.now() }), 'NOT_FOUND')
      expect(await nodes.count()).toBe(0)
    }))

  test('update takes the fields of a patch alone', () =>
    run(async ({ nodes, clock }) => {
      const created = await nodes.create(node('gw-1'))
      const patch = { nodeId: 'gw-2', createdAt: clock.now(), updatedAt: clock.now(), weight: 1 }
      const paths = ['createdAt', 'nodeId', 'updatedAt', 'weight']
      const error = await expectCode(nodes.update('gw-1', patch as object), 'VALIDATION')
      expect(error.issues.map(({ path }) => path).toSorted()).toEqual(paths)
      expect(await nodes.get('gw-1')).toEqual(created)
    }))

  test('updatedAt moves to now, or to a millisecond after the old one where the clock stands or goes back', () =>
    run(async ({ nodes, clock }) => {
      const { updatedAt } = await nodes.create(node('gw-1'))
      const later = (milliseconds: number): Date => new Date(updatedAt.getTime() + milliseconds)
      expect((await nodes.update('gw-1', { started: true })).updatedAt).toEqual(later(1))
      expect((await nodes.update('gw-1', {})).updatedAt).toEqual(later(2))
      clock.advance(-60_000)
      expect((await nodes.update('gw-1', { started: false })).updatedAt).toEqual(later(3))
      clock.advance(60_003)
      expect((await nodes.update('gw-1', {})).updatedAt).toEqual(later(4))
      clock.advance(2)
      expect((await nodes.update('gw-1', {})).updatedAt).toEqual(later(5))
      clock.advance(10)
      expect((await nodes.update('gw-1', {})).updatedAt).toEqual(later(15))
    }))

  test('with ifUpdatedAt, update changes only the row as it was read', () =>
    run(async ({ nodes, clock }) => {
      const read = await nodes.create(node('gw-1'))
      const first = await nodes.update('gw-1', { started: true }, { ifUpdatedAt: read.updatedAt })
      const error = await expectCode(
        nodes.update('gw-1', { started: false }, { ifUpdatedAt: read.updatedAt }),
        'CONFLICT',
      )
      expect(error.retryable, 'it has to be read again').toBe(false)
      expect(await nodes.get('gw-1')).toEqual(first)
      for (const off of [-1, 1]) {
        const ifUpdatedAt = new Date(first.updatedAt.getTime() + off)
        await expectCode(nodes.update('gw-1', {}, { ifUpdatedAt }), 'CONFLICT')
      }
      clock.advance(1_000)
      const second = await nodes.update('gw-1', {}, { ifUpdatedAt: first.updatedAt })
      expect(second).toEqual({ ...first, updatedAt: clock.now() })
    }))

  test('ifUpdatedAt works without any field, and undefined means absent', () =>
    run(async ({ nodes }) => {
      const read = await nodes.create(node('gw-1'))
      await nodes.update('gw-1', {}, { ifUpdatedAt: undefined })
      await expectCode(nodes.update('gw-1', {}, { ifUpdatedAt: read.updatedAt }), 'CONFLICT')
      await expectRefused(nodes.update('gw-1', {}, { ifUpdatedAt: new Date(Number.NaN) }), 'ifUpdatedAt')
    }))

  test('of many updates with the same ifUpdatedAt exactly one succeeds', () =>
    run(async ({ nodes }) => {
      const { updatedAt } = await nodes.create(node('gw-1'))
      const attempts = Array.from({ length: 50 }, (_, routesDiscovered) =>
        nodes.update('gw-1', { routesDiscovered }, { ifUpdatedAt: updatedAt }),
      )
      const outcomes = await Promise.allSettled(attempts)
      const succeeded = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
      expect(succeeded).toEqual([await nodes.get('gw-1')])
      const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.code] : []))
      expect(refused).toEqual(Array.from({ length: 49 }, () => 'CONFLICT'))
    }))

  // Half a millisecond, what is just below and above it, and what Python's time.time() gives.
  test.each([1_762_300_800.123456, 1_762_300_800.9995, 1_762_300_800.0004, 1_762_300_800.500501, -1.0005, 0, 0.0015])(
    'ifUpdatedAt is compared to the millisecond: %d, written by another program',
    (updated_at) =>
      run(
        async ({ nodes, clock }) => {
          const read = await nodes.get('gw-1')
          if (read === undefined) throw new Error('The row is missing.')
          for (const off of [-1, 1]) {
            const ifUpdatedAt = new Date(read.updatedAt.getTime() + off)
            await expectCode(nodes.update('gw-1', { started: true }, { ifUpdatedAt }), 'CONFLICT')
          }
          const updated = await nodes.update('gw-1', { started: true }, { ifUpdatedAt: read.updatedAt })
          expect(updated.updatedAt).toEqual(clock.now())
          await nodes.update('gw-1', { started: true }, { ifUpdatedAt: updated.updatedAt })
        },
        { before: ({ other }) => other.insert('nodes', { ...foreignNode('gw-1'), updated_at }) },
      ),
  )

  test('updatedAt moves by a whole millisecond from one that another program wrote in the future', () =>
    run(
      async ({ nodes }) => {
        const read = await nodes.get('gw-1')
        const updated = await nodes.update('gw-1', {})
        expect(updated.updatedAt.getTime()).toBe((read?.updatedAt.getTime() ?? 0) + 1)
        await expectCode(nodes.update('gw-1', {}, { ifUpdatedAt: read?.updatedAt }), 'CONFLICT')
      },
      {
        before: async ({ other }) =>
          other.insert('nodes', { ...foreignNode('gw-1'), updated_at: 4_102_444_800.123456 }),
      },
    ))

  test('a value that is not changed keeps its bits', () =>
    run(
      async ({ nodes, clock }) => {
        await nodes.update('gw-1', { started: true })
        await nodes.recordRoutes('gw-2')
        await nodes.save(node('gw-3', { createdAt: clock.now() }))
      },
      {
        before: async ({ other }) => {
          for (const id of ['gw-1', 'gw-2', 'gw-3']) await other.insert('nodes', foreignNode(id))
        },
        after: async ({ other }) => {
          const stored = (id: string): Row => {
            const row = foreignNode(id)
            return backend.looseTypes ? row : { ...row, protocols: '["batman-adv"]' }
          }
          const written = stored('gw-1')
          const { updated_at: _, ...updated } = (await other.row('nodes', 'gw-1')) ?? {}
          const { updated_at: __, ...kept } = written
          expect(updated).toEqual({ ...kept, started: 1 })
          expect(await other.row('nodes', 'gw-2')).toEqual({ ...stored('gw-2'), routes_discovered: 8 })
          expect(await other.row('nodes', 'gw-3')).toMatchObject({ created_at: written.created_at })
        },
      },
    ))
}
