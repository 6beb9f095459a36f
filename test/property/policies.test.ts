import fc from 'fast-check'
import { test } from 'vitest'
import type { NewPolicy, PolicyPatch } from '../../src/index.ts'
import { bound } from '../support/bounds.ts'
import { all } from '../support/expectations.ts'
import { assertProperty } from '../support/properties.ts'
import { eachBackend } from '../support/settings.ts'
import { after, condition, id, ifUpdatedAt, maybe, page, placeAfter, prefix, selection, time } from './arbitraries.ts'
import { TEXTS } from './model/policies.ts'
import { programOf, runProgram, type Step, step } from './programs.ts'

const text = fc.constantFrom(...TEXTS.keys())
const newPolicy: fc.Arbitrary<NewPolicy> = fc.record(
  { policyId: id, yamlContent: text, rulesCount: maybe(fc.nat()), createdAt: time, updatedAt: time },
  { requiredKeys: ['policyId', 'yamlContent'] },
)
const newPolicies = fc.array(newPolicy, { maxLength: 3 })
const patch: fc.Arbitrary<PolicyPatch> = fc.record({ yamlContent: maybe(text) }, { requiredKeys: [] })

const steps: fc.Arbitrary<Step> = fc.oneof(
  newPolicy.map((policy) => step('create', ({ policies }) => policies.create(policy), policy)),
  newPolicies.map((many) => step('createMany', ({ policies }) => policies.createMany(many), many)),
  newPolicy.map((policy) => step('save', ({ policies }) => policies.save(policy), policy)),
  id.map((policyId) => step('get', ({ policies }) => policies.get(policyId), policyId)),
  page.map((of) => step('list', ({ policies }) => policies.list(of), of)),
  fc.tuple(selection, maybe(fc.integer({ min: 1, max: 5 })), after).map(([of, limit, which]) => {
    let options = {}
    const list: Step['run'] = ({ policies }, model) => {
      if (policies !== model.policies) options = { after: placeAfter('policyId', which, model.policies.rows.all()) }
      return policies.list({ ...of, limit, ...options })
    }
    return step('list in order', list, of, limit, which)
  }),
  selection.map((of) => step('iterate', ({ policies }) => all(policies.iterate(of)), of)),
  prefix.map((by) => step('count', ({ policies }) => policies.count({ prefix: by }), by)),
  newPolicy.map((policy) => step('save, outcome', ({ policies }) => policies.save(policy, { outcome: true }), policy)),
  fc
    .tuple(prefix, patch)
    .map(([by, to]) => step('updateMany', ({ policies }) => policies.updateMany({ prefix: by }, to), by, to)),
  prefix.map((by) => step('deleteMany', ({ policies }) => policies.deleteMany({ prefix: by }), by)),
  fc.tuple(id, patch, condition).map(([policyId, changes, which]) => {
    let options = {}
    const update: Step['run'] = ({ policies }, model) => {
      if (policies !== model.policies) options = ifUpdatedAt(which, model.policies.rows.get(policyId))
      return policies.update(policyId, changes, options)
    }
    return step('update', update, policyId, changes, which)
  }),
  fc.array(id).map((ids) => step('getMany', ({ policies }) => policies.getMany(ids), ids)),
  id.map((policyId) => step('delete', ({ policies }) => policies.delete(policyId), policyId)),
)

eachBackend('random programs of policies', (backend) => {
  test('come to what the model comes to', () =>
    assertProperty(
      `policies, ${backend.name}`,
      fc.asyncProperty(programOf(steps), (program) => runProgram(backend, program)),
      { runs: bound('RUNS', { brief: backend.slow ? 8 : 30, short: backend.slow ? 60 : 350, long: 5_000 }) },
    ))
})
