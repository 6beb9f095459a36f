/** Copies as it is told, a line for each thing that happens. At `stopAt` it stands still until it is killed. */
import { createInterface } from 'node:readline'
import { copyDatabase, openStorage, restoreBackup, StorageError } from '../../../src/index.ts'

export type Order =
  | { readonly migrate: string }
  | {
      readonly from: string
      readonly to: string
      /** `from` is a backup. */
      readonly restores?: boolean
      /** So many calls of `onProgress`. */
      readonly stopAt?: number
      /** The same, and it says so and goes on. */
      readonly passAt?: number
    }

const say = (line: string): void => void process.stdout.write(`${line}\n`)

say('@ready')
for await (const line of createInterface({ input: process.stdin })) {
  const order: Order = JSON.parse(line)
  const steps: string[] = []
  say('@begun')
  try {
    if ('migrate' in order) await (await openStorage(order.migrate)).close()
    else {
      const onStep = (step: string): void => {
        steps.push(step)
        if (steps.length === order.passAt) say('@inside')
        if (steps.length !== order.stopAt) return
        say(`@inside ${step}`)
        // Synchronously: nothing goes on meanwhile.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      }
      const { from, to, restores = false } = order
      if (restores) await restoreBackup(from, to, { onProgress: () => onStep('copying') })
      else await copyDatabase(from, to, { onProgress: ({ step }) => onStep(step) })
    }
    say(`@ended ${JSON.stringify(steps)}`)
  } catch (error) {
    say(`@failed ${error instanceof StorageError ? error.code : String(error)}`)
  }
}
