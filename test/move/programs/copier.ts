/** Copies as it is told, a line for each thing that happens. At `stopAt` it stands still until it is killed. */
import { createInterface } from 'node:readline'
import { copyDatabase, openStorage, StorageError } from '../../../src/index.ts'

export type Order =
  | { readonly migrate: string }
  | {
      readonly from: string
      readonly to: string
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
      await copyDatabase(order.from, order.to, {
        onProgress: ({ step }) => {
          steps.push(step)
          if (steps.length === order.passAt) say('@inside')
          if (steps.length !== order.stopAt) return
          say(`@inside ${step}`)
          // Synchronously: nothing goes on meanwhile.
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
        },
      })
    }
    say(`@ended ${JSON.stringify(steps)}`)
  } catch (error) {
    say(`@failed ${error instanceof StorageError ? error.code : String(error)}`)
  }
}
