import { expect, test } from 'vitest'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { policy } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

export function several({ run }: Setting): void {
  test('getMany returns the policies that exist, in the order asked for', () =>
    run(async ({ policies }) => {
      const [a, b] = await policies.createMany([policy('a'), policy('b', 'rules: []')])
      expect(await policies.getMany(['b', 'none', 'a', 'b'])).toEqual([b, a, b])
      expect(await policies.getMany([])).toEqual([])
      await expectRefused(policies.getMany(['a', '']), 'policyIds[1]')
    }))

  test('delete with ifUpdatedAt rejects with CONFLICT if the policy has changed', () =>
    run(async ({ policies }) => {
      const { updatedAt } = await policies.create(policy('a'))
      const updated = await policies.update('a', { yamlContent: 'rules: []' })
      await expectCode(policies.delete('a', { ifUpdatedAt: updatedAt }), 'CONFLICT')
      expect(await policies.get('a')).toEqual(updated)
      expect(await policies.delete('a', { ifUpdatedAt: updated.updatedAt })).toBe(true)
      expect(await policies.delete('a', { ifUpdatedAt: updated.updatedAt })).toBe(false)
    }))
}
