import fc from 'fast-check'
import { test } from 'vitest'
import type { CachedPathFilter } from '../../src/index.ts'
import { bound } from '../support/bounds.ts'
import { all } from '../support/expectations.ts'
import { assertProperty } from '../support/properties.ts'
import { eachBackend } from '../support/settings.ts'
import { bundle, id, maybe, pathKey, ttlSeconds } from './arbitraries.ts'
import { programOf, runProgram, type Step, step } from './programs.ts'

const entry = fc.record({ key: pathKey, bundle, ttlSeconds }, { requiredKeys: ['key', 'bundle'] })
const filter: fc.Arbitrary<CachedPathFilter> = fc.record(
  { source: maybe(id), destination: maybe(id) },
  { requiredKeys: [] },
)
const page = fc.record(
  { limit: maybe(fc.integer({ min: 1, max: 5 })), after: maybe(fc.constantFrom('', 'a:a:1', 'a%3Ab:b:2', '\u{e000}')) },
  { requiredKeys: [] },
)
const batchSize = maybe(fc.constantFrom(1, 2, 500))

const steps: fc.Arbitrary<Step> = fc.oneof(
  entry.map((each) =>
    step('set', ({ pathCache }) => pathCache.set(each.key, each.bundle, { ttlSeconds: each.ttlSeconds }), each),
  ),
  fc.array(entry, { maxLength: 4 }).map((many) => step('setMany', ({ pathCache }) => pathCache.setMany(many), many)),
  pathKey.map((key) => step('get', ({ pathCache }) => pathCache.get(key), key)),
  pathKey.map((key) => step('getEntry', ({ pathCache }) => pathCache.getEntry(key), key)),
  entry.map((each) =>
    step(
      'resolve',
      ({ pathCache }) => pathCache.resolve(each.key, () => each.bundle, { ttlSeconds: each.ttlSeconds }),
      each,
    ),
  ),
  pathKey.map((key) => step('delete', ({ pathCache }) => pathCache.delete(key), key)),
  fc.tuple(filter, page).map(([by, of]) => step('list', ({ pathCache }) => pathCache.list({ ...by, ...of }), by, of)),
  filter.map((by) => step('iterate', ({ pathCache }) => all(pathCache.iterate(by)), by)),
  filter.map((by) => step('count', ({ pathCache }) => pathCache.count(by), by)),
  filter.map((by) => step('invalidate', ({ pathCache }) => pathCache.invalidate(by), by)),
  batchSize.map((size) => step('deleteExpired', ({ pathCache }) => pathCache.deleteExpired({ batchSize: size }), size)),
  fc.constant(step('stats', ({ pathCache }) => pathCache.stats())),
)

eachBackend('random programs of the path cache', (backend) => {
  test('come to what the model comes to', () =>
    assertProperty(
      `path cache, ${backend.name}`,
      fc.asyncProperty(programOf(steps), (program) => runProgram(backend, program)),
      { runs: bound('RUNS', { brief: backend.slow ? 8 : 30, short: backend.slow ? 60 : 350, long: 5_000 }) },
    ))
})
