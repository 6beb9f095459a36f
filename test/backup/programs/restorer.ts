/**
 * Restores, or backs up, as it is told, and stops for ever after so many things that it did: statements, steps of a copy,
 * and calls of the file system. It says where it is, in lines that begin with `@`.
 */
// Before anything else.

import { openStorage, restoreBackup } from '../../../src/index.ts'
import { forEver } from '../../faults/migration-barrier.ts'
import { hooks } from '../../faults/migration-hooks.ts'
import { messages, say } from '../../sqlite/support/messages.ts'

export type Order =
  | { readonly do: 'restore'; readonly file: string; readonly path: string; readonly stopAt?: number }
  | { readonly do: 'backup'; readonly path: string; readonly file: string; readonly stopAt?: number }

export type Stage = 'reading' | 'safety copy' | 'overwriting' | 'verification' | 'migration'

/** In which stage what was done ends, or begins the next. */
function next(stage: Stage, what: string, steps: number): Stage {
  if (stage === 'reading' && what === 'BEGIN IMMEDIATE') return 'safety copy'
  if (stage === 'safety copy' && what === 'ROLLBACK') return 'overwriting'
  if (stage === 'overwriting' && steps > 0 && what.includes('sqlite_version')) return 'verification'
  if (stage === 'verification' && what === 'BEGIN') return 'migration'
  return stage
}

async function obey(order: Order): Promise<void> {
  const stages: Stage[] = []
  let stage: Stage = 'reading'
  let steps = 0
  hooks.after = (what, _, failed) => {
    if (failed) return
    const before = stage
    stage = next(stage, what, steps)
    if (stage !== before) steps = 0
    if (what === 'a step of the copy') steps++
    stages.push(stage)
    if (stages.length !== order.stopAt) return
    say(`@inside ${stage}: ${what.replaceAll(/\s+/g, ' ').slice(0, 60)}`)
    forEver()
  }
  say('@begun')
  if (order.do === 'restore') await restoreBackup(order.file, order.path, { replace: true })
  else {
    await using store = await openStorage(order.path)
    await store.backup(order.file)
  }
  say(`@ended ${JSON.stringify(stages)}`)
}

say('@ready')
for await (const order of messages<Order>()) await obey(order).catch((error: unknown) => say(`@failed ${error}`))
