/** The decisions of policies, which fail closed. */
import { policyDocuments } from 'meshstore'
import { describe, expect, test, vi } from 'vitest'
import { parsedPolicy } from '../../../src/schema/policy-text.ts'
import { PolicyEngine, readRules, rulesOf } from '../src/policies/index.ts'

const NOON = new Date('2026-01-02T12:00:00Z')
/** As `rulesOf` reads them, without the wait for the parser to load. */
const rulesIn = (text: string) => {
  try {
    return readRules(parsedPolicy(text, 'yamlContent'))
  } catch {
    return readRules(undefined)
  }
}
const engineOf = (...texts: string[]): PolicyEngine => new PolicyEngine(texts.map(rulesIn))
const mayUse = (texts: string | string[], subject = 'a', now = NOON) =>
  engineOf(...[texts].flat()).mayUse(subject, { now })
const rule = (effect: string, action: string, more = ''): string =>
  `{ id: r, effect: ${effect}, subject: "*", action: "${action}"${more} }`
const policy = (rules: string[], more = ''): string => `${more}\nrules: [${rules.join(', ')}]`

describe('a question is decided by', () => {
  test('nothing: all is allowed', () => {
    const may = mayUse([])
    expect([may.node('a'), may.link('a', 'b'), may.route('olsr')]).toEqual([true, true, true])
  })

  test('the rule that names it', () => {
    const may = mayUse(
      policy([rule('DENY', 'node_use:b'), rule('deny', 'edge_use:c:d'), rule('Deny', 'route_use:olsr')]),
    )
    expect([may.node('b'), may.node('c')]).toEqual([false, true])
    expect([may.link('c', 'd'), may.link('d', 'c'), may.link('c', 'e')]).toEqual([false, false, true])
    expect([may.route('olsr'), may.route('babel')]).toEqual([false, true])
  })

  test('the first rule that matches', () => {
    const [deny, allow] = [rule('DENY', 'node_use:*'), rule('ALLOW', 'node_use:b')]
    expect(mayUse(policy([allow, deny])).node('b')).toBe(true)
    expect(mayUse(policy([allow, deny])).node('c')).toBe(false)
    expect(mayUse(policy([deny, allow])).node('b')).toBe(false)
    expect(mayUse([policy([deny]), policy([allow])]).node('b')).toBe(false)
    expect(mayUse([policy([allow]), policy([deny])]).node('b')).toBe(true)
  })

  test('a rule for everything', () => {
    const may = mayUse(policy([rule('DENY', '*')]))
    expect([may.node('a'), may.link('a', 'b'), may.route('olsr')]).toEqual([false, false, false])
  })

  test('the default, if no rule does; one that denies is enough', () => {
    expect(mayUse('default: DENY').node('a')).toBe(false)
    expect(mayUse('default: allow').node('a')).toBe(true)
    expect(mayUse(['default: ALLOW', 'default: DENY', 'rules: []']).node('a')).toBe(false)
    expect(mayUse(policy([rule('ALLOW', 'edge_use:a:b')], 'default: DENY')).link('b', 'a')).toBe(true)
  })

  test('the node where the paths begin', () => {
    const text = 'rules: [{ id: r, effect: DENY, subject: guest, action: "node_use:b" }]'
    expect(mayUse(text, 'guest').node('b')).toBe(false)
    expect(mayUse(text, 'host').node('b')).toBe(true)
  })

  test.each(['mesh', 'mesh.nodes', '*'])('a rule for the resource %s', (resource) => {
    expect(mayUse(policy([rule('DENY', '*', `, resource: "${resource}"`)])).node('b')).toBe(false)
  })

  test('no rule for another resource or another action', () => {
    const may = mayUse(policy([rule('DENY', '*', ', resource: data.customers'), rule('DENY', 'READ')]))
    expect([may.node('a'), may.link('a', 'b'), may.route('olsr')]).toEqual([true, true, true])
  })

  test('every document of a text, and no text of another kind', () => {
    expect(mayUse(`rules: []\n---\n${policy([rule('DENY', 'node_use:b')])}`).node('b')).toBe(false)
    expect(mayUse('kind: NetworkPolicy\nspec:\n  ingress: [{ from: a }]').node('b')).toBe(true)
  })

  test.each([
    ['09:00-18:00', '08:59', true],
    ['09:00-18:00', '09:00', false],
    ['09:00-18:00', '18:00', true],
    ['22:00-06:00', '23:00', false],
    ['22:00-06:00', '05:59', false],
    ['22:00-06:00', '06:00', true],
  ])('a rule between %s, at %s', (between, at, allowed) => {
    const text = policy([rule('DENY', 'node_use:b', `, conditions: ["time between ${between}"]`)])
    expect(mayUse(text, 'a', new Date(`2026-01-02T${at}:00Z`)).node('b')).toBe(allowed)
  })
})

describe('it fails closed:', () => {
  const unknown = [
    '"risk_score < 55"',
    '"ip_cidr 10.10.0.0/16"',
    '"time between 25:00-26:00"',
    '"moon is full"',
    '7',
    '{ type: risk_score }',
  ]

  test.each(unknown)('whether %s holds cannot be told', (condition) => {
    const conditions = `, conditions: [${condition}]`
    expect(mayUse(policy([rule('DENY', 'node_use:b', conditions)])).node('b')).toBe(false)
    expect(mayUse(policy([rule('ALLOW', 'node_use:b', conditions)], 'default: DENY')).node('b')).toBe(false)
    expect(mayUse(policy([rule('ALLOW', 'node_use:b', conditions), rule('DENY', 'node_use:*')])).node('b')).toBe(false)
  })

  test('unless another condition does not hold', () => {
    const conditions = ', conditions: ["moon is full", "time between 01:00-02:00"]'
    expect(mayUse(policy([rule('DENY', 'node_use:b', conditions)])).node('b')).toBe(true)
  })

  test.each([
    ['rules: 7', 'rules'],
    ['rules: { id: a }', 'rules'],
    ['rules: [7]', 'rules[0]'],
    ['rules: [{ id: r, subject: "*", action: "*" }]', 'rules[0].effect'],
    ['rules: [{ id: r, effect: MAYBE, subject: "*", action: "*" }]', 'rules[0].effect'],
    ['rules: [{ id: r, effect: DENY, subject: "*" }]', 'rules[0].action'],
    ['rules: [{ id: r, effect: DENY, action: "*" }]', 'rules[0].subject'],
    ['rules: [{ id: r, effect: DENY, subject: "*", action: "*", conditions: often }]', 'rules[0].conditions'],
    ['rules: [{ id: r, effect: DENY, subject: "*", action: "*", resource: [] }]', 'rules[0].resource'],
    ['default: MAYBE', 'default'],
    ['rules: [', ''],
  ])('%s', (text, path) => {
    expect(rulesIn(text).problems.map((problem) => problem.path)).toContain(path)
    expect(mayUse(text).node('b')).toBe(false)
  })

  test('an action of the mesh with a resource that is none of the mesh', () => {
    const resource = ', resource: elsewhere'
    expect(mayUse(policy([rule('DENY', 'node_use:b', resource)])).node('b')).toBe(false)
    expect(mayUse(policy([rule('ALLOW', 'node_use:b', resource)], 'default: DENY')).node('b')).toBe(false)
  })
})

test('a text that would hold up a parser without limits is refused at once', async () => {
  const keys = Array.from({ length: 8_000 }, (_, key) => `k${key}: `).join('\n')
  const deep = '['.repeat(65_536)
  const unexpected = ']'.repeat(65_536)
  const [wide, ...refused] = await Promise.all(
    [keys, deep, unexpected, 'x'.repeat(1_048_577)].map((text) => rulesOf(text, policyDocuments)),
  )
  expect(wide?.problems).toEqual([])
  for (const { problems, default: verdict } of refused) {
    expect([problems, verdict]).toEqual([[{ path: '', message: 'is not valid YAML' }], 'DENY'])
  }
})

test('nothing of a text is printed as a warning', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  await rulesOf('rules: []\nport: {{ index .Secret 0 }}: 1\nother: { { secret: 1 }: 2 }\n', policyDocuments)
  await rulesOf('other: { { secret: 1 }: 2 }\n', policyDocuments)
  expect(warned).not.toHaveBeenCalled()
  warned.mockRestore()
})
