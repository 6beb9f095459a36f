import { expect, test } from 'vitest'
import { all, expectCode, expectRefused } from '../../support/expectations.ts'
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

  test('prefix, updateMany and deleteMany take the policies whose ids begin with a text', () =>
    run(async ({ policies, clock }) => {
      const [, b1] = await policies.createMany(['a1', 'b1', 'b2', 'c'].map((id) => policy(id)))
      clock.advance(10)
      expect(await policies.updateMany({ prefix: 'b' }, { yamlContent: 'rules: [x, y]' })).toBe(2)
      expect(await policies.get('b1')).toEqual({
        ...b1,
        yamlContent: 'rules: [x, y]',
        rulesCount: 2,
        updatedAt: clock.now(),
      })
      expect((await policies.list({ prefix: 'b' })).map(({ policyId }) => policyId)).toEqual(['b1', 'b2'])
      const newest = await policies.list({ orderBy: 'updatedAt', descending: true, limit: 3 })
      expect(newest.map(({ policyId }) => policyId)).toEqual(['b2', 'b1', 'c'])
      expect(Object.keys(newest[0] ?? {}).sort()).toEqual(['createdAt', 'policyId', 'rulesCount', 'updatedAt'])
      const rest = await policies.list({ orderBy: 'updatedAt', descending: true, after: newest[2] })
      expect(rest.map(({ policyId }) => policyId)).toEqual(['a1'])
      expect((await all(policies.iterate({ orderBy: 'updatedAt' }))).map(({ policyId }) => policyId)).toEqual([
        'a1',
        'c',
        'b1',
        'b2',
      ])
      expect(await policies.updateMany({ prefix: 'b' }, {})).toBe(2)
      expect(await policies.count({ prefix: 'b' })).toBe(2)
      expect(await policies.deleteMany({ prefix: 'b' })).toBe(2)
      expect(await policies.count()).toBe(2)
      await expectRefused(policies.deleteMany({}), '')
      await expectRefused(policies.updateMany({ prefix: undefined }, {}), '')
      await expectRefused(policies.updateMany({ prefix: 'a' }, { yamlContent: 'rules: [' }), 'yamlContent')
      await expectRefused(policies.list({ orderBy: 'rulesCount' as never }), 'orderBy')
    }))

  test('bulk calls that are not awaited take their place between the others', () =>
    run(async ({ policies }) => {
      const outcomes = await Promise.all([
        policies.createMany([policy('a1'), policy('b')]),
        policies.updateMany({ prefix: 'a' }, { yamlContent: 'rules: [x]' }),
        policies.save(policy('a1', 'rules: [x, y]'), { outcome: true }),
        policies.deleteMany({ prefix: 'b' }),
        policies.save(policy('b'), { outcome: true }),
      ])
      expect(outcomes[1]).toBe(1)
      expect(outcomes[2]).toMatchObject({ row: { rulesCount: 2 }, created: false })
      expect(outcomes[3]).toBe(1)
      expect(outcomes[4]).toMatchObject({ row: { policyId: 'b' }, created: true })
      expect(await policies.get('a1')).toMatchObject({ rulesCount: 2 })
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
