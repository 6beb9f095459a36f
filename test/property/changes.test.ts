/** Random programs with rollbacks: a subscriber sees what a model says was committed, each row's changes in their order. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Meshstore, Repositories, Transaction } from '../../src/index.ts'
import { cacheKey } from '../../src/schema/path-bundle.ts'
import { committedChanges } from '../changes/support/reading.ts'
import { bound } from '../support/bounds.ts'
import { assertProperty } from '../support/properties.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'

type Table = 'nodes' | 'policies' | 'path_cache'
type Verb = 'create' | 'save' | 'touch' | 'delete' | 'both'
interface Step {
  readonly table: Table
  readonly verb: Verb
  readonly id: string
}
interface Unit {
  readonly how: 'plain' | 'together' | 'undone'
  readonly parts: readonly (Step | Unit)[]
}

/** The rows that are there, and the changes of each. */
class Model {
  readonly rows: Set<string>
  readonly events: string[]

  constructor(rows: Iterable<string> = [], events: readonly string[] = []) {
    this.rows = new Set(rows)
    this.events = [...events]
  }

  copy(): Model {
    return new Model(this.rows, this.events)
  }

  apply({ table, verb, id }: Step): void {
    const keys = verb === 'both' ? IDS.map((each) => keyOf(table, each)) : [keyOf(table, id)]
    const [name = ''] = keys
    const isThere = this.rows.has(name)
    if (verb === 'delete') {
      if (this.rows.delete(name)) this.events.push(`delete ${name}`)
    } else if (verb === 'touch') {
      if (isThere) this.events.push(`update ${name}`)
    } else if (verb === 'create') {
      if (!isThere) this.#put(name)
    } else for (const key of keys) this.#put(key)
  }

  #put(name: string): void {
    this.events.push(`${this.rows.has(name) ? 'update' : 'insert'} ${name}`)
    this.rows.add(name)
  }
}

const IDS = ['a', 'ä', 'b:c'] as const
const keyOf = (table: Table, id: string): string =>
  `${table} ${table === 'path_cache' ? cacheKey(pathKey(id, 'z')) : id}`

/** One that a step refuses leaves everything as it was. */
async function perform({ nodes, policies, pathCache }: Repositories, { table, verb, id }: Step): Promise<void> {
  const refusable = (work: Promise<unknown>): Promise<unknown> => work.catch(() => {})
  if (table === 'nodes') {
    if (verb === 'create') await refusable(nodes.create(node(id)))
    else if (verb === 'save') await nodes.save(node(id))
    else if (verb === 'touch') await refusable(nodes.recordRoutes(id))
    else if (verb === 'both') await nodes.saveMany(IDS.map((each) => node(each)))
    else await nodes.delete(id)
  } else if (table === 'policies') {
    if (verb === 'create') await refusable(policies.create(policy(id)))
    else if (verb === 'save') await policies.save(policy(id))
    else if (verb === 'touch') await refusable(policies.update(id, { yamlContent: 'rules: []' }))
    else if (verb === 'both') for (const each of IDS) await policies.save(policy(each))
    else await policies.delete(id)
  } else {
    const key = pathKey(id, 'z')
    if (verb === 'both')
      await pathCache.setMany(IDS.map((each) => ({ key: pathKey(each, 'z'), bundle: bundle(each, 'z') })))
    else if (verb === 'delete') await pathCache.delete(key)
    else await pathCache.set(key, bundle(id, 'z'))
  }
}

class Undo extends Error {}

/** Returns the model of what is there afterwards. */
async function run(on: Meshstore | Transaction, unit: Unit, model: Model): Promise<Model> {
  const parts = async (inside: Meshstore | Transaction, from: Model): Promise<Model> => {
    let reached = from
    for (const part of unit.parts) {
      if ('how' in part) reached = await run(inside, part, reached)
      else {
        reached.apply(part)
        await perform(inside, part)
      }
    }
    return reached
  }
  if (unit.how === 'plain') return parts(on, model)
  if (unit.how === 'together') return on.transaction((tx) => parts(tx, model.copy()))
  const undone = on.transaction(async (tx) => {
    await parts(tx, model.copy())
    throw new Undo()
  })
  await undone.catch((error) => {
    if (!(error instanceof Undo)) throw error
  })
  return model
}

const step: fc.Arbitrary<Step> = fc
  .record({
    table: fc.constantFrom<Table>('nodes', 'policies', 'path_cache'),
    verb: fc.constantFrom<Verb>('create', 'save', 'touch', 'delete', 'both'),
    id: fc.constantFrom(...IDS),
  })
  // A path is stored, or it is not.
  .map((each) => (each.table === 'path_cache' && each.verb.match(/create|touch/) ? { ...each, verb: 'save' } : each))
const how = fc.constantFrom<Unit['how']>('plain', 'together', 'undone')
const { unit } = fc.letrec<{ unit: Unit }>((tie) => ({
  unit: fc.record({ how, parts: fc.array(fc.oneof({ maxDepth: 3 }, step, tie('unit')), { maxLength: 5 }) }),
}))
const program = fc.array(fc.record({ unit, isTakenOver: fc.boolean() }), { minLength: 1, maxLength: 6 })

/** A row's events in their order, under its name. */
function byRow(events: readonly string[]): Record<string, string[]> {
  const rows: Record<string, string[]> = {}
  for (const event of events) {
    const [operation = '', ...name] = event.split(' ')
    const of = name.join(' ')
    rows[of] = [...(rows[of] ?? []), operation]
  }
  return rows
}

eachBackend('random changes', (backend) => {
  test('reach a subscriber as the model says, also one that goes on by a token', () =>
    assertProperty(
      `changes, ${backend.name}`,
      fc.asyncProperty(program, async (units) => {
        await using opened = await backend.open({ pathCache: { invalidation: 'manual', ttlSeconds: 3_600 } })
        const { store } = opened
        let changes = store.changes()
        let token = await changes.ready()
        let model = new Model()
        const seen: string[] = []
        for (const each of units) {
          model = await run(store, each.unit, model)
          if (each.isTakenOver) {
            changes = store.changes({ after: token })
            await changes.ready()
          }
          for (const change of await committedChanges(changes, store)) {
            seen.push(`${change.operation} ${change.table} ${change.key}`)
          }
          token = await changes.ready()
        }
        expect(byRow(seen)).toEqual(byRow(model.events))
      }),
      { runs: bound('RUNS', { brief: backend.slow ? 6 : 20, short: 150, long: 3_000 }) },
    ))
})
