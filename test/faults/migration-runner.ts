/**
 * Runs `meshstore migrate …` as it is told, and marks, in lines that begin with `@`, what it does. It may be told to stop
 * in the middle of it, for ever.
 */

import { run } from '../../src/cli/program.ts'
import { messages, say } from '../sqlite/support/messages.ts'
import { forEver, waitFor } from './migration-barrier.ts'
import { hooks } from './migration-hooks.ts'
import { BEGINS } from './migration-lock.ts'

export interface Order {
  readonly args: readonly string[]
  /** Stops after so many things that it did while it held the lock. */
  readonly stopAt?: number
  /** Says at each of these what it was. */
  readonly trace?: boolean
  /** After each COMMIT it waits for the file with this name and its number behind it. */
  readonly pause?: string
}

async function obey({ args, stopAt, trace, pause }: Order): Promise<void> {
  /** The connection that holds the lock. */
  let holder: object | undefined
  let begun = false
  let points = 0
  let commits = 0
  hooks.after = (what, connection, failed) => {
    if (failed) return
    if (BEGINS.includes(what)) {
      holder = connection
      if (!begun) say('@begun')
      begun = true
    }
    if (what === 'COMMIT' && connection === holder) {
      holder = undefined
      commits++
      say('@committed')
      if (pause !== undefined) waitFor(`${pause}${commits}`, '@paused')
    }
    if (holder === undefined) return
    points++
    if (trace || points === stopAt) say(`@inside ${points} ${what.trim().replaceAll(/\s+/g, ' ').slice(0, 60)}`)
    if (points === stopAt) forEver()
  }
  process.exitCode = 0
  await run(['node', 'meshstore', ...args])
  say(`@ended ${process.exitCode}`)
}

say('@ready')
for await (const order of messages<Order>()) await obey(order)
