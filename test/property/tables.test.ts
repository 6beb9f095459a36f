/** Random programs over own tables and nodes, in the same transactions, on a store and on a model. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StorageError } from '../../src/index.ts'
import { backends } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { Clock } from '../support/clock.ts'
import { byBytes } from '../support/expectations.ts'
import { assertProperty } from '../support/properties.ts'
import { node } from '../support/samples.ts'
import { LONG } from '../support/settings.ts'
import { app, migrations } from '../tables/app/schema.ts'
import { type AppStage, link, withTables } from '../tables/app/stages.ts'
import { takeDown } from '../tables/app/statements.ts'

type On = Pick<AppStage, 'nodes' | 'tables' | 'run'>
interface Link {
  readonly source: string
  readonly cost: number
  readonly isUp: boolean
  readonly owner: string | null
}

class Refused extends Error {}
const refuse = (code: string): never => {
  throw new Refused(code)
}

/** Nodes, and links that refer to them: what the contract says. */
class Model {
  nodes = new Set<string>()
  links = new Map<string, Link>()

  put(id: string, row: Link): Link {
    if (row.owner !== null && !this.nodes.has(row.owner)) refuse('CONFLICT')
    this.links.set(id, row)
    return row
  }

  change(matches: (row: Link) => boolean, to: (row: Link) => Link | undefined): number {
    const found = [...this.links].filter(([, row]) => matches(row))
    for (const [id, row] of found) {
      const next = to(row)
      if (next === undefined) this.links.delete(id)
      else this.links.set(id, next)
    }
    return found.length
  }

  snapshot(): () => void {
    const [nodes, links] = [new Set(this.nodes), new Map(this.links)]
    return () => {
      this.nodes = nodes
      this.links = links
    }
  }
}

interface Step {
  readonly on: (on: On) => Promise<unknown>
  readonly model: (model: Model) => unknown
}
const step = (name: string, shown: unknown, on: Step['on'], model: Step['model']): Step => ({
  on,
  model,
  ...{ [fc.toStringMethod]: () => `${name}(${fc.stringify(shown)})` },
})

const id = fc.constantFrom('a', 'b', 'ä', '\u{1f600}')
const source = fc.constantFrom('x', 'y')
const cost = fc.constantFrom<number>(0, 1, 2.5)
const row = fc.record({ source, cost, isUp: fc.boolean(), owner: fc.option(id, { nil: null }) })
const shown = ({ source, cost, isUp, owner }: Link): Link => ({ source, cost, isUp, owner })

const steps: fc.Arbitrary<Step> = fc.oneof(
  id.map((of) =>
    step(
      'node',
      of,
      ({ nodes }) => nodes.save(node(of)).then(() => true),
      ({ nodes }) => Boolean(nodes.add(of)),
    ),
  ),
  id.map((of) =>
    step(
      'deleteNode',
      of,
      ({ nodes }) => nodes.delete(of),
      (model) => {
        model.change(
          ({ owner }) => owner === of,
          () => undefined,
        )
        return model.nodes.delete(of)
      },
    ),
  ),
  fc.tuple(id, row).map(([of, to]) =>
    step(
      'create',
      [of, to],
      async ({ tables }) => shown(await tables.links.create(link(of, to))),
      (model) => (model.links.has(of) ? refuse('ALREADY_EXISTS') : model.put(of, to)),
    ),
  ),
  fc.tuple(id, row).map(([of, to]) =>
    step(
      'save',
      [of, to],
      async ({ tables }) => shown(await tables.links.save(link(of, to))),
      (model) => model.put(of, to),
    ),
  ),
  fc.tuple(id, cost).map(([of, to]) =>
    step(
      'update',
      [of, to],
      async ({ tables }) => shown(await tables.links.update(of, { cost: to })),
      (model) => {
        const old = model.links.get(of) ?? refuse('NOT_FOUND')
        return model.put(of, { ...old, cost: to })
      },
    ),
  ),
  id.map((of) =>
    step(
      'delete',
      of,
      ({ tables }) => tables.links.delete(of),
      ({ links }) => links.delete(of),
    ),
  ),
  fc.tuple(source, cost).map(([of, to]) =>
    step(
      'updateMany',
      [of, to],
      ({ tables }) => tables.links.updateMany({ source: of }, { cost: to }),
      (model) =>
        model.change(
          (each) => each.source === of,
          (each) => ({ ...each, cost: to }),
        ),
    ),
  ),
  fc.array(cost, { minLength: 1 }).map((costs) =>
    step(
      'deleteMany',
      costs,
      ({ tables }) => tables.links.deleteMany({ cost: costs }),
      (model) =>
        model.change(
          (each) => costs.includes(each.cost),
          () => undefined,
        ),
    ),
  ),
  source.map((of) =>
    step(
      'takeDown',
      of,
      async ({ run }) => (await run(takeDown, { source: of, now: new Date(1e12), site: null })).changes,
      (model) =>
        model.change(
          (each) => each.source === of && each.isUp,
          (each) => ({ ...each, isUp: false }),
        ),
    ),
  ),
)
const program = fc.array(
  fc.record({
    where: fc.constantFrom('store', 'committed', 'undone'),
    steps: fc.array(steps, { minLength: 1, maxLength: 12, size: 'max' }),
  }),
  { minLength: 1, maxLength: 4, size: 'max' },
)

async function outcomeOf(work: () => unknown): Promise<unknown> {
  try {
    return { value: await work() }
  } catch (error) {
    if (error instanceof StorageError) return { code: error.code }
    if (error instanceof Refused) return { code: error.message }
    throw error
  }
}

const sorted = <T>(rows: readonly (readonly [string, T])[]) => rows.toSorted(([a], [b]) => byBytes(a, b))
async function dump({ nodes, tables }: On): Promise<unknown> {
  const links = await tables.links.list()
  return [(await nodes.list()).map(({ nodeId }) => nodeId), links.map((each) => [each.linkId, shown(each)])]
}
const dumpOf = ({ nodes, links }: Model): unknown => [[...nodes].toSorted(byBytes), sorted([...links])]

for (const backend of backends)
  test(`own tables and nodes do what the model does, ${backend.name}`, async () => {
    await assertProperty(
      `own tables, ${backend.name}`,
      fc.asyncProperty(program, async (parts) => {
        const clock = new Clock()
        await using opened = await backend.open({ now: clock.now, tables: app, migrations })
        const store = withTables(opened)
        const model = new Model()
        const runSteps = async (on: On, all: readonly Step[]): Promise<void> => {
          for (const each of all)
            expect(await outcomeOf(() => each.on(on)), fc.stringify(each)).toEqual(
              await outcomeOf(() => each.model(model)),
            )
          expect(await dump(on)).toEqual(dumpOf(model))
        }
        for (const { where, steps: all } of parts) {
          if (where === 'store') await runSteps(store, all)
          else {
            let restore: (() => void) | undefined
            const work = store.transaction(async (tx) => {
              // The library runs a transaction again after a conflict.
              restore?.()
              restore = model.snapshot()
              await runSteps(tx, all)
              if (where === 'undone') throw new Refused('undo')
            }, LONG)
            if (where === 'undone') {
              await expect(work).rejects.toThrow('undo')
              restore?.()
            } else await work
          }
          expect(await dump(store)).toEqual(dumpOf(model))
        }
      }),
      { runs: bound('RUNS', { brief: backend.slow ? 5 : 15, short: backend.slow ? 40 : 150, long: 2_000 }) },
    )
  })
