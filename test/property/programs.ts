/** Random programs, run on a store and on the model, of which every step must come to the same. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { type MeshNode, type Repositories, StorageError, type Transaction } from '../../src/index.ts'
import type { Backend } from '../support/backends.ts'
import { Clock } from '../support/clock.ts'
import { dump } from '../support/content.ts'
import { LONG, type Untyped, untyped } from '../support/settings.ts'
import { ModelNodes } from './model/nodes.ts'
import { ModelPathCache } from './model/path-cache.ts'
import { ModelPolicies } from './model/policies.ts'

export class Model implements Repositories {
  readonly nodes: ModelNodes
  readonly policies: ModelPolicies
  readonly pathCache: ModelPathCache

  constructor(now: () => Date) {
    this.pathCache = new ModelPathCache(now)
    this.nodes = new ModelNodes(now, (node, before, after) => {
      // A new node is on no path yet.
      if (before !== undefined && topologyOf(before) !== topologyOf(after)) this.pathCache.forget({ through: node })
    })
    this.policies = new ModelPolicies(now, (_, before, after) => {
      if (before?.yamlContent !== after?.yamlContent) this.pathCache.forget({})
    })
  }

  snapshot(): () => void {
    const undo = [this.nodes.rows, this.policies.rows, this.pathCache.rows].map((rows) => rows.snapshot())
    const forgotten = this.pathCache.forgotten.length
    return () => {
      for (const each of undo) each()
      this.pathCache.forgotten.length = forgotten
    }
  }
}

const topologyOf = (node: MeshNode | undefined): string =>
  JSON.stringify(node && [node.started, node.interfaces, node.protocols])

/** One call. `model` is what is known so far: `ifUpdatedAt` is chosen from it. */
export interface Step {
  run(on: Untyped, model: Model): Promise<unknown>
}

export const step = (name: string, run: Step['run'], ...shown: readonly unknown[]): Step => ({
  run,
  // How fast-check shows it when a program fails.
  ...{ [fc.toStringMethod]: () => `${name}(${shown.map((each) => fc.stringify(each)).join(', ')})` },
})

const WHERE = ['store', 'committed', 'rolled back', 'savepoint kept', 'savepoint undone'] as const

interface Part {
  readonly where: (typeof WHERE)[number]
  readonly steps: readonly (Step | { advance: number })[]
}
export type Program = readonly Part[]

/** Programs of up to 40 steps, in parts of which some are transactions. */
export function programOf(steps: fc.Arbitrary<Step>): fc.Arbitrary<Program> {
  const advance = fc.record({ advance: fc.oneof(fc.constant(0), fc.integer({ min: -2_000, max: 40_000 })) })
  const some = fc.array(fc.oneof({ weight: 8, arbitrary: steps }, { weight: 1, arbitrary: advance }), {
    minLength: 1,
    maxLength: 10,
    size: 'max',
  })
  return fc.array(fc.record({ where: fc.constantFrom(...WHERE), steps: some }), {
    minLength: 1,
    maxLength: 4,
    size: 'max',
  })
}

async function outcomeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    return { value: await work }
  } catch (error) {
    if (error instanceof StorageError) return { code: error.code }
    throw error
  }
}

class Undo extends Error {}

export async function runProgram(backend: Backend, program: Program): Promise<void> {
  const clock = new Clock()
  const model = new Model(clock.now)
  await using opened = await backend.open({ now: clock.now })
  const { store } = opened

  const runSteps = async (on: Repositories, steps: Part['steps']): Promise<void> => {
    for (const each of steps) {
      if ('advance' in each) clock.advance(each.advance)
      else
        expect(await outcomeOf(each.run(untyped(on), model)), fc.stringify(each)).toEqual(
          await outcomeOf(each.run(model, model)),
        )
    }
  }
  const undone = async (work: Promise<unknown>, restore: () => void): Promise<void> => {
    await expect(work).rejects.toThrow(Undo)
    restore()
  }
  // After a conflict, for example with a sweep, the library runs a transaction again: then the model begins again, too.
  const transaction = (work: (tx: Transaction) => Promise<void>): Promise<void> => {
    const begun = clock.now()
    let restore: (() => void) | undefined
    return store.transaction((tx) => {
      restore?.()
      restore = model.snapshot()
      clock.advance(begun.getTime() - clock.now().getTime())
      return work(tx)
    }, LONG)
  }
  const runPart: Record<Part['where'], (steps: Part['steps']) => Promise<unknown>> = {
    store: (steps) => runSteps(store, steps),
    committed: (steps) => transaction((tx) => runSteps(tx, steps)),
    'rolled back': (steps) => {
      const restore = model.snapshot()
      const work = transaction(async (tx) => {
        await runSteps(tx, steps)
        throw new Undo()
      })
      return undone(work, restore)
    },
    'savepoint kept': (steps) => transaction((tx) => tx.transaction((nested) => runSteps(nested, steps))),
    'savepoint undone': (steps) =>
      transaction(async (tx) => {
        const work = tx.transaction(async (nested) => {
          await runSteps(nested, steps)
          throw new Undo()
        })
        await undone(work, model.snapshot())
        expect(await dump(tx)).toEqual(await dump(model))
      }),
  }
  for (const { where, steps } of program) {
    model.pathCache.inTransaction = where !== 'store'
    await runPart[where](steps)
    expect(await dump(store)).toEqual(await dump(model))
  }
}
