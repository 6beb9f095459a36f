import { expect, test } from 'vitest'
import { expectCode } from '../../support/expectations.ts'
import { policy, TWO_RULES } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const COUNTS: readonly (readonly [what: string, yaml: string, rules: number])[] = [
  ['nothing', '', 0],
  ['a comment alone', '# nothing yet\n', 0],
  ['a scalar', 'allow\n', 0],
  ['a list', '- a\n- b\n', 0],
  ['rules at the top', 'rules: [a, b, c]\n', 3],
  ['rules in JSON', '{"rules": [{"id": "a"}, {"id": "b"}]}', 2],
  ['an empty list of rules', 'rules: []\n', 0],
  ['rules without a value', 'rules:\n', 0],
  ['rules that are no list', 'rules: { a: 1, b: 2 }\n', 0],
  ['rules under spec', 'spec:\n  rules:\n    - a\n    - b\n', 2],
  ['ingress under spec', 'spec: { ingress: [a] }\n', 1],
  ['egress under spec', 'spec: { egress: [a, b] }\n', 2],
  ['all of them together', 'rules: [a]\nspec: { rules: [b], ingress: [c, d], egress: [e, f, g] }\n', 7],
  ['ingress and egress at the top, which are none', 'ingress: [a]\negress: [b]\n', 0],
  ['a list under spec', 'spec: [rules, [a, b]]\n', 0],
  ['rules deeper down, which are none', 'items: [{ rules: [a] }]\nspec: { nested: { rules: [b] } }\n', 0],
  ['rules within rules, which are part of one', 'rules: [{ rules: [a, b] }]\n', 1],
  ['several documents', 'rules: [a]\n---\nspec: { egress: [b, c] }\n---\n# nothing\n---\nrules: [d]\n...\n', 4],
  ['an alias', 'base: &base [a, b]\nrules: *base\n', 2],
  ['an anchor used in another list', 'rules: [&a { id: x }, *a, *a]\n', 3],
  ['names like those of Object.prototype', '__proto__: { rules: [a] }\nconstructor: { spec: 1 }\nrules: [b]\n', 1],
]

export function countingRules({ run }: Setting): void {
  test.each(COUNTS)('rulesCount of %s', (_, yaml, rules) =>
    run(async ({ policies }) => {
      expect((await policies.create(policy('created', yaml))).rulesCount).toBe(rules)
      await policies.create(policy('updated', 'rules: [a, b, c, d, e]'))
      expect((await policies.update('updated', { yamlContent: yaml })).rulesCount).toBe(rules)
      expect((await policies.save(policy('saved', yaml))).rulesCount).toBe(rules)
      expect((await policies.list()).map(({ rulesCount }) => rulesCount)).toEqual([rules, rules, rules])
    }),
  )

  test('countRules counts in place of the usual rule, in all documents of a text', () => {
    const seen: unknown[] = []
    const countRules = (documents: readonly unknown[]): number => {
      seen.push(documents)
      return 40 + documents.length
    }
    return run(
      async ({ policies }) => {
        expect((await policies.create(policy('a', 'x: 1\n---\n- y\n'))).rulesCount).toBe(42)
        expect((await policies.save(policy('a', 'z'))).rulesCount).toBe(41)
        expect((await policies.update('a', { yamlContent: 'rules: [a]' })).rulesCount).toBe(41)
        expect(seen).toEqual([[{ x: 1 }, ['y']], ['z'], [{ rules: ['a'] }]])
      },
      { options: { countRules } },
    )
  })

  test.each([-1, 1.5, Number.NaN, 2_147_483_648, '3'])('a countRules that returns %s is MISUSE', (count) =>
    run(
      async ({ policies }) => {
        await expectCode(policies.create(policy('a')), 'MISUSE')
        expect(await policies.count()).toBe(0)
      },
      { options: { countRules: () => count as number } },
    ),
  )

  test('what countRules throws reaches the caller, and nothing is stored', () => {
    const failure = new Error('cannot count')
    return run(
      async ({ policies }) => {
        await expect(policies.create(policy('a', TWO_RULES))).rejects.toBe(failure)
        expect(await policies.count()).toBe(0)
      },
      {
        options: {
          countRules: () => {
            throw failure
          },
        },
      },
    )
  })
}
