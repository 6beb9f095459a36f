import fc from 'fast-check'
import { test } from 'vitest'
import type { MeshNodePatch, NewMeshNode, NodeFilter } from '../../src/index.ts'
import { bound } from '../support/bounds.ts'
import { all } from '../support/expectations.ts'
import { assertProperty } from '../support/properties.ts'
import { eachBackend } from '../support/settings.ts'
import {
  after,
  condition,
  id,
  ifUpdatedAt,
  maybe,
  name,
  names,
  page,
  placeAfter,
  prefix,
  selection,
  time,
} from './arbitraries.ts'
import { programOf, runProgram, type Step, step } from './programs.ts'

const count = fc.constantFrom(0, 1, 5, -7, 2_147_483_640)
const newNode: fc.Arbitrary<NewMeshNode> = fc.record(
  {
    nodeId: id,
    interfaces: names,
    protocols: names,
    started: maybe(fc.boolean()),
    routesDiscovered: maybe(count),
    createdAt: time,
    updatedAt: time,
  },
  { requiredKeys: ['nodeId', 'interfaces', 'protocols'] },
)
const newNodes = fc.array(newNode, { maxLength: 4 })
const patch: fc.Arbitrary<MeshNodePatch> = fc.record(
  { interfaces: maybe(names), protocols: maybe(names), started: maybe(fc.boolean()), routesDiscovered: maybe(count) },
  { requiredKeys: [] },
)
const filter: fc.Arbitrary<NodeFilter> = fc.record(
  { started: maybe(fc.boolean()), protocol: maybe(name), interface: maybe(name), prefix },
  { requiredKeys: [] },
)
const discovered = fc.constantFrom(0, 1, 2, 2_147_483_647)

const steps: fc.Arbitrary<Step> = fc.oneof(
  newNode.map((node) => step('create', ({ nodes }) => nodes.create(node), node)),
  newNodes.map((many) => step('createMany', ({ nodes }) => nodes.createMany(many), many)),
  newNode.map((node) => step('save', ({ nodes }) => nodes.save(node), node)),
  newNodes.map((many) => step('saveMany', ({ nodes }) => nodes.saveMany(many), many)),
  id.map((nodeId) => step('get', ({ nodes }) => nodes.get(nodeId), nodeId)),
  fc.array(id).map((ids) => step('getMany', ({ nodes }) => nodes.getMany(ids), ids)),
  fc.tuple(filter, page).map(([by, of]) => step('list', ({ nodes }) => nodes.list({ ...by, ...of }), by, of)),
  fc.tuple(filter, selection, maybe(fc.integer({ min: 1, max: 5 })), after).map(([by, of, limit, which]) => {
    let options = {}
    const list: Step['run'] = ({ nodes }, model) => {
      // The store comes first: what it is told is what the model knew before.
      if (nodes !== model.nodes) options = { after: placeAfter('nodeId', which, model.nodes.rows.all()) }
      return nodes.list({ ...by, ...of, limit, ...options })
    }
    return step('list in order', list, by, of, limit, which)
  }),
  fc
    .tuple(filter, selection)
    .map(([by, of]) => step('iterate', ({ nodes }) => all(nodes.iterate({ ...by, ...of })), by, of)),
  newNode.map((node) => step('save, outcome', ({ nodes }) => nodes.save(node, { outcome: true }), node)),
  filter.map((by) => step('count', ({ nodes }) => nodes.count(by), by)),
  fc.tuple(id, patch, condition).map(([nodeId, changes, which]) => {
    let options = {}
    const update: Step['run'] = ({ nodes }, model) => {
      // The store comes first: what it is told is what the model knew before.
      if (nodes !== model.nodes) options = ifUpdatedAt(which, model.nodes.rows.get(nodeId))
      return nodes.update(nodeId, changes, options)
    }
    return step('update', update, nodeId, changes, which)
  }),
  fc
    .tuple(id, discovered)
    .map(([nodeId, more]) => step('recordRoutes', ({ nodes }) => nodes.recordRoutes(nodeId, more), nodeId, more)),
  id.map((nodeId) => step('delete', ({ nodes }) => nodes.delete(nodeId), nodeId)),
  fc.tuple(filter, patch).map(([by, to]) => step('updateMany', ({ nodes }) => nodes.updateMany(by, to), by, to)),
  filter.map((by) => step('deleteMany', ({ nodes }) => nodes.deleteMany(by), by)),
)

eachBackend('random programs of nodes', (backend) => {
  test('come to what the model comes to', () =>
    assertProperty(
      `nodes, ${backend.name}`,
      fc.asyncProperty(programOf(steps), (program) => runProgram(backend, program)),
      { runs: bound('RUNS', { brief: backend.slow ? 8 : 30, short: backend.slow ? 60 : 350, long: 5_000 }) },
    ))
})
