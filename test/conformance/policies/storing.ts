import { expect, test } from 'vitest'
import { all, expectCode, expectRefused, IDS_BY_BYTES } from '../../support/expectations.ts'
import { numbered, policy, TWO_RULES } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const ONE_RULE = 'rules: [deny-all]\n'
const summaryOf = ({ yamlContent: _, ...summary }: { yamlContent: string }) => summary

export function storing({ run }: Setting): void {
  test('create returns the row that get gives, with the number of its rules', () =>
    run(async ({ policies, clock }) => {
      const created = await policies.create(policy('default'))
      const times = { createdAt: clock.now(), updatedAt: clock.now() }
      expect(created).toEqual({ policyId: 'default', yamlContent: TWO_RULES, rulesCount: 2, ...times })
      expect(await policies.get('default')).toEqual(created)
      expect(await policies.get('other')).toBeUndefined()
    }))

  test('create keeps a createdAt that is given; rulesCount and updatedAt are its own', () =>
    run(async ({ policies, clock }) => {
      const createdAt = new Date('2001-02-03T04:05:06.789Z')
      const created = await policies.create({ ...policy('a'), createdAt, updatedAt: createdAt, rulesCount: 99 })
      expect(created).toMatchObject({ createdAt, updatedAt: clock.now(), rulesCount: 2 })
      expect(await policies.get('a')).toEqual(created)
    }))

  test('create rejects with ALREADY_EXISTS for an id that is there, and changes nothing', () =>
    run(async ({ policies }) => {
      const created = await policies.create(policy('a'))
      await expectCode(policies.create(policy('a', ONE_RULE)), 'ALREADY_EXISTS')
      expect(await policies.get('a')).toEqual(created)
    }))

  test('createMany adds all, in the order given', () =>
    run(async ({ policies }) => {
      const created = await policies.createMany([policy('c'), policy('a', ONE_RULE), policy('b')])
      expect(created.map(({ policyId, rulesCount }) => [policyId, rulesCount])).toEqual([
        ['c', 2],
        ['a', 1],
        ['b', 2],
      ])
      expect(await policies.get('a')).toEqual(created[1])
      expect(await policies.createMany([])).toEqual([])
    }))

  test('createMany adds none if one is there, comes twice, or is no YAML', () =>
    run(async ({ policies }) => {
      const there = await policies.create(policy('b'))
      await expectCode(policies.createMany([policy('a'), policy('b')]), 'ALREADY_EXISTS')
      await expectCode(policies.createMany([policy('a'), policy('c'), policy('a')]), 'ALREADY_EXISTS')
      await expectRefused(policies.createMany([policy('a'), policy('c', 'a: [1')]), '[1].yamlContent')
      expect(await policies.list()).toEqual([summaryOf(there)])
    }))

  test('list and iterate leave the texts out', () =>
    run(async ({ policies }) => {
      const created = await policies.createMany([policy('a'), policy('b', ONE_RULE)])
      expect(await policies.list()).toEqual(created.map(summaryOf))
      expect(await all(policies.iterate())).toEqual(created.map(summaryOf))
    }))

  test('list orders and pages by the UTF-8 bytes of the ids', () =>
    run(async ({ policies }) => {
      await policies.createMany(IDS_BY_BYTES.toReversed().map((id) => policy(id)))
      const ids = async (page?: { limit?: number; after?: string }): Promise<string[]> =>
        (await policies.list(page)).map(({ policyId }) => policyId)
      expect(await ids()).toEqual(IDS_BY_BYTES)
      for (const [index, after] of IDS_BY_BYTES.entries()) {
        expect(await ids({ after })).toEqual(IDS_BY_BYTES.slice(index + 1))
        expect(await ids({ after, limit: 2 })).toEqual(IDS_BY_BYTES.slice(index + 1, index + 3))
      }
    }))

  test('list gives 100 unless limit says so; iterate gives all', () =>
    run(async ({ policies }) => {
      await policies.createMany(Array.from({ length: 612 }, (_, index) => policy(numbered('p', index), ONE_RULE)))
      expect(await policies.list()).toHaveLength(100)
      expect(await policies.list({ limit: 10_000, after: undefined })).toHaveLength(612)
      expect(await all(policies.iterate())).toEqual(await policies.list({ limit: 10_000 }))
      await expectRefused(policies.list({ limit: 0 }), 'limit')
      await expectRefused(policies.list({ limit: 10_001 }), 'limit')
      await expectRefused(policies.list({ started: true } as object), 'started')
    }))

  test('count and delete', () =>
    run(async ({ policies }) => {
      expect(await policies.count()).toBe(0)
      await policies.createMany([policy('a'), policy('b')])
      expect(await policies.count()).toBe(2)
      expect(await policies.delete('a')).toBe(true)
      expect(await policies.delete('a')).toBe(false)
      expect(await policies.count()).toBe(1)
      expect((await policies.get('b'))?.policyId).toBe('b')
    }))
}

export function changing({ run }: Setting): void {
  test('update replaces the text, counts its rules, and moves updatedAt', () =>
    run(async ({ policies, clock }) => {
      const created = await policies.create(policy('a'))
      const other = await policies.create(policy('b'))
      clock.advance(5)
      const updated = await policies.update('a', { yamlContent: ONE_RULE })
      expect(updated).toEqual({ ...created, yamlContent: ONE_RULE, rulesCount: 1, updatedAt: clock.now() })
      expect(await policies.get('a')).toEqual(updated)
      expect(await policies.get('b')).toEqual(other)
    }))

  test('an empty patch, or undefined in it, moves updatedAt alone', () =>
    run(async ({ policies, clock }) => {
      const created = await policies.create(policy('a'))
      expect(await policies.update('a', {})).toEqual({ ...created, updatedAt: clock.after(1) })
      clock.advance(-60_000)
      const again = await policies.update('a', { yamlContent: undefined })
      expect(again).toEqual({ ...created, updatedAt: new Date(created.updatedAt.getTime() + 2) })
    }))

  test('update rejects with NOT_FOUND, and with VALIDATION for what no patch has', () =>
    run(async ({ policies }) => {
      await expectCode(policies.update('a', { yamlContent: ONE_RULE }), 'NOT_FOUND')
      const created = await policies.create(policy('a'))
      await expectRefused(policies.update('a', { rulesCount: 5 } as object), 'rulesCount')
      await expectRefused(policies.update('a', { yamlContent: 'a: [' }), 'yamlContent')
      expect(await policies.get('a')).toEqual(created)
    }))

  test('with ifUpdatedAt, update changes only the row as it was read', () =>
    run(async ({ policies }) => {
      const read = await policies.create(policy('a'))
      const first = await policies.update('a', { yamlContent: ONE_RULE }, { ifUpdatedAt: read.updatedAt })
      await expectCode(policies.update('a', { yamlContent: '' }, { ifUpdatedAt: read.updatedAt }), 'CONFLICT')
      await expectCode(policies.update('a', {}, { ifUpdatedAt: read.updatedAt }), 'CONFLICT')
      await expectCode(policies.update('b', {}, { ifUpdatedAt: read.updatedAt }), 'NOT_FOUND')
      expect(await policies.get('a')).toEqual(first)
      const attempts = Array.from({ length: 20 }, () => policies.update('a', {}, { ifUpdatedAt: first.updatedAt }))
      const outcomes = await Promise.allSettled(attempts)
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    }))

  test('save adds a policy or replaces its text, and keeps createdAt', () =>
    run(async ({ policies, clock }) => {
      const saved = await policies.save({ ...policy('a'), createdAt: new Date(0), updatedAt: new Date(0) })
      expect(saved).toMatchObject({ rulesCount: 2, createdAt: clock.now(), updatedAt: clock.now() })
      clock.advance(1_000)
      const replaced = await policies.save(policy('a', ONE_RULE))
      expect(replaced).toEqual({ ...saved, yamlContent: ONE_RULE, rulesCount: 1, updatedAt: clock.now() })
      expect(await policies.get('a')).toEqual(replaced)
    }))

  test('what was read can be saved again; its times and its rulesCount are ignored', () =>
    run(async ({ policies, clock }) => {
      const created = await policies.create(policy('a'))
      const saved = await policies.save({ ...created, rulesCount: 77 })
      expect(saved).toEqual({ ...created, updatedAt: clock.after(1) })
      clock.advance(-60_000)
      const again = await policies.save({ ...saved, yamlContent: ONE_RULE })
      expect(again).toMatchObject({ rulesCount: 1, updatedAt: new Date(saved.updatedAt.getTime() + 1) })
    }))

  test('save refuses what is no YAML, and changes nothing', () =>
    run(async ({ policies }) => {
      const created = await policies.create(policy('a'))
      await expectRefused(policies.save(policy('a', 'a: 1\na: 2\n')), 'yamlContent')
      expect(await policies.get('a')).toEqual(created)
    }))

  test('ifUpdatedAt is compared to the millisecond, and what is not changed keeps its bits', () =>
    run(
      async ({ policies }) => {
        const read = await policies.get('python')
        await policies.update('python', { yamlContent: ONE_RULE }, { ifUpdatedAt: read?.updatedAt })
        await expectCode(policies.update('python', {}, { ifUpdatedAt: read?.updatedAt }), 'CONFLICT')
      },
      {
        before: async ({ other }) =>
          other.insert('policies', {
            policy_id: 'python',
            yaml_content: 'rules: []',
            rules_count: 0,
            created_at: 1_700_000_000.123456,
            updated_at: 1_700_000_000.9995,
          }),
        after: async ({ other }) => {
          const row = await other.row('policies', 'python')
          expect(row).toMatchObject({ created_at: 1_700_000_000.123456, yaml_content: ONE_RULE, rules_count: 1 })
        },
      },
    ))
}
