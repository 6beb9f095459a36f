/** Cached paths while the topology changes: what has expired or been invalidated never comes back. */
import fc from 'fast-check'
import { test } from 'vitest'
import type { InvalidationFilter, NewMeshNode, Repositories } from '../../src/index.ts'
import { bound } from '../support/bounds.ts'
import { all } from '../support/expectations.ts'
import { assertProperty } from '../support/properties.ts'
import { node } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'
import { maybe } from './arbitraries.ts'
import { type Program, programOf, runProgram, type Step, step } from './programs.ts'

/** Few, so that most changes concern some path. */
const NODES = ['a', 'a:b', '%', 'ü', 'via'] as const
const id = fc.constantFrom(...NODES)
const pathKey = fc.record({ source: id, destination: id, k: fc.constantFrom(1, 11) })
const path = fc.record({ nodes: fc.array(id, { maxLength: 3 }) })
const bundle = fc.record(
  {
    source: id,
    destination: id,
    primary: fc.array(path, { maxLength: 2 }),
    alternatives: fc.array(path, { maxLength: 1 }),
  },
  { requiredKeys: ['source', 'destination', 'primary'] },
)
const ttlSeconds = maybe(fc.constantFrom(1, 30, 3_600))
const entry = fc.record({ key: pathKey, bundle, ttlSeconds })
const filter: fc.Arbitrary<InvalidationFilter> = fc
  .record({ source: maybe(id), destination: maybe(id), through: maybe(id) })
  .filter((each) => Object.values(each).some((value) => value !== undefined))

/**
 * Changes of the topology, and calls that drop paths by themselves. How many rows that deletes depends on when the
 * sweep came.
 */
const changes: fc.Arbitrary<Step> = fc.oneof(
  filter.map((by) => step('invalidate', ({ pathCache }) => silent(pathCache.invalidate(by)), by)),
  fc.constant(step('clear', ({ pathCache }) => silent(pathCache.clear()))),
  fc
    .tuple(id, fc.boolean())
    .map(([of, started]) => step('start or stop', ({ nodes }) => silent(nodes.update(of, { started })), of, started)),
  id.map((of) => step('count routes', ({ nodes }) => silent(nodes.recordRoutes(of)), of)),
  fc.tuple(id, fc.constantFrom('aodv', 'cjdns')).map(([of, protocol]) =>
    // Saves a node that is there: it is left open whether a new one drops paths that were found without it.
    step('save', (on) => saveIfThere(on, node(of, { protocols: [protocol] })), of, protocol),
  ),
  id.map((of) => step('remove node', ({ nodes }) => nodes.delete(of), of)),
  fc
    .constantFrom('', 'rules: []\n')
    .map((text) =>
      step('save policy', ({ policies }) => silent(policies.save({ policyId: 'p', yamlContent: text })), text),
    ),
  fc.constant(step('remove policy', ({ policies }) => policies.delete('p'))),
  pathKey.map((key) => step('delete', ({ pathCache }) => pathCache.delete(key), key)),
)

async function silent(work: Promise<unknown>): Promise<void> {
  await work
}

async function saveIfThere({ nodes }: Repositories, saved: NewMeshNode): Promise<void> {
  if ((await nodes.get(saved.nodeId)) !== undefined) await nodes.save(saved)
}

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: changes },
  entry.map((each) =>
    step('set', ({ pathCache }) => pathCache.set(each.key, each.bundle, { ttlSeconds: each.ttlSeconds }), each),
  ),
  fc.array(entry, { maxLength: 4 }).map((many) => step('setMany', ({ pathCache }) => pathCache.setMany(many), many)),
  pathKey.map((key) => step('get', ({ pathCache }) => pathCache.get(key), key)),
  pathKey.map((key) => step('getEntry', ({ pathCache }) => pathCache.getEntry(key), key)),
  fc.tuple(entry, fc.array(changes, { maxLength: 2 })).map(([each, meanwhile]) =>
    step(
      'resolve',
      (on, model) =>
        on.pathCache.resolve(
          each.key,
          async () => {
            for (const change of meanwhile) await change.run(on, model)
            return each.bundle
          },
          { ttlSeconds: each.ttlSeconds },
        ),
      each,
      meanwhile,
    ),
  ),
  fc
    .record({ source: maybe(id), destination: maybe(id), limit: maybe(fc.constantFrom(1, 2)) })
    .map((by) => step('list', ({ pathCache }) => pathCache.list(by), by)),
  fc.constant(step('iterate', ({ pathCache }) => all(pathCache.iterate()))),
  fc.constant(step('count', ({ pathCache }) => pathCache.count())),
  fc.constant(step('deleteExpired', ({ pathCache }) => silent(pathCache.deleteExpired()))),
  fc.constant(step('sweep', ({ pathCache }) => silent(pathCache.sweep()))),
)

/** The nodes are there from the beginning. */
const begun = programOf(steps).map((program): Program => {
  const add = step('add nodes', ({ nodes }) => nodes.createMany(NODES.map((each) => node(each))))
  return [{ where: 'store', steps: [add] }, ...program]
})

eachBackend('random changes of the topology', (backend) => {
  test('come to what the model comes to', () =>
    assertProperty(
      `topology, ${backend.name}`,
      fc.asyncProperty(begun, (program) => runProgram(backend, program)),
      { runs: bound('RUNS', { brief: backend.slow ? 8 : 30, short: backend.slow ? 60 : 350, long: 5_000 }) },
    ))
})
