import { type Meshstore, openStorage, StorageError, type StorageOptions } from '../../../src/index.ts'
import { canariesIn, VALUE } from './canaries.ts'
import { REFUSED, readsOf, secretBundle, secretNode, transactionsOf, writesOf } from './provoked.ts'
import type { Watched } from './watched.ts'

/** Collects the errors of what must fail. */
export class Provoked {
  readonly codes = new Map<string, number>()
  readonly leaks: string[] = []

  async fail(work: () => Promise<unknown>): Promise<void> {
    const error = await work().then(
      () => new Error('It did not fail.'),
      (reason: unknown) => reason,
    )
    if (!(error instanceof StorageError)) throw error
    this.codes.set(error.code, (this.codes.get(error.code) ?? 0) + 1)
    for (const canary of canariesIn(error)) this.leaks.push(`${error.code}: ${canary}: ${error.message}`)
  }

  /** Looks at what the library handed out. */
  look(what: string, value: unknown): void {
    for (const canary of canariesIn(value)) this.leaks.push(`${what}: ${canary}`)
  }

  get count(): number {
    return [...this.codes.values()].reduce((sum, each) => sum + each, 0)
  }
}

export async function lookAtAll(provoked: Provoked, store: Meshstore): Promise<void> {
  provoked.look('store', store)
  await store.pathCache.getOrCompute({ source: 'a', destination: 'c', k: 1 }, () => secretBundle)
  for (const name of ['nodes', 'policies', 'pathCache'] as const) provoked.look(name, store[name])
  await store.transaction(async (tx) => {
    await tx.nodes.save(secretNode('seen'))
    provoked.look('tx', tx)
    for (const name of ['nodes', 'policies', 'pathCache'] as const) provoked.look(`tx.${name}`, tx[name])
  })
  provoked.look('stats', await store.stats())
  provoked.look('health', await store.health())
}

export function report(dialect: string, provoked: Provoked, watched: Watched): void {
  const codes = [...provoked.codes].map(([code, count]) => `${count} × ${code}`).join(', ')
  const events = [...watched.events].map(([name, count]) => `${count} × ${name}`).join(', ')
  console.log(`${dialect}: ${provoked.count} errors looked at (${codes}); events: ${events}`)
}

export async function failEverywhere(provoked: Provoked, store: Meshstore): Promise<void> {
  for (const each of REFUSED) {
    await provoked.fail(() => each(store))
    await provoked.fail(() => store.transaction((tx) => each(tx)))
  }
  for (const each of transactionsOf(store)) await provoked.fail(each)
}

export async function failClosed(provoked: Provoked, options: StorageOptions): Promise<void> {
  const store = await openStorage(options)
  await store.close()
  for (const each of [...writesOf('n'), ...readsOf('n')]) await provoked.fail(() => each(store))
  await provoked.fail(() => store.transaction(async () => VALUE))
  provoked.look('a closed store', store)
}
