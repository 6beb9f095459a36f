import { expect, test } from 'vitest'
import { expectCode } from '../../support/expectations.ts'
import { node, policy } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

export function silentTriggers({ run }: Setting): void {
  test.each(['update', 'recordRoutes', 'save'] as const)(
    'a trigger of another program that drops %s of a node in silence is a CONFLICT, and no endless attempt',
    (method) =>
      run(
        async ({ nodes }) => {
          const before = await nodes.get('a')
          const attempts = {
            update: () => nodes.update('a', { started: true }),
            recordRoutes: () => nodes.recordRoutes('a'),
            save: () => nodes.save(node('a', { started: true })),
          }
          await expectCode(attempts[method](), 'CONFLICT')
          expect(await nodes.get('a')).toEqual(before)
        },
        {
          before: async ({ store, other }) => {
            await store.nodes.create(node('a'))
            await other.dropUpdates('nodes')
          },
        },
      ),
  )

  test.each(['update', 'save'] as const)('the same of a policy: %s', (method) =>
    run(
      async ({ policies }) => {
        const before = await policies.get('a')
        const attempts = { update: () => policies.update('a', {}), save: () => policies.save(policy('a', '')) }
        await expectCode(attempts[method](), 'CONFLICT')
        expect(await policies.get('a')).toEqual(before)
      },
      {
        before: async ({ store, other }) => {
          await store.policies.create(policy('a'))
          await other.dropUpdates('policies')
        },
      },
    ),
  )
}
