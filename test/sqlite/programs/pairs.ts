/**
 * Writes as fast as it can, past the library: counts up pairs of nodes, one transaction for each pair, in turn. At any
 * one moment both of a pair are equal, and no pair is ahead of the one before it, or more than one behind.
 */
import Sqlite from 'better-sqlite3'
import { messages, say } from '../support/messages.ts'

export const PAIRS = 50
export const pairIds = (index: number): [string, string] => [`pair-${index}-a`, `pair-${index}-b`]

if (process.argv[2] !== undefined) await main(process.argv[2])

async function main(path: string): Promise<void> {
  const db = new Sqlite(path)
  db.pragma('busy_timeout = 5000')
  db.pragma('synchronous = NORMAL')
  const count = db.prepare('UPDATE nodes SET routes_discovered = ? WHERE node_id IN (?, ?)')
  let round = 1
  let next = 0
  let running = true
  const write = (): void => {
    for (let slice = 0; slice < 10; slice++) {
      count.run(round, ...pairIds(next))
      next = (next + 1) % PAIRS
      if (next === 0) round++
    }
    if (running) setImmediate(write)
  }
  write()
  say(JSON.stringify('writing'))
  for await (const order of messages<'stop'>()) {
    running = order !== 'stop'
    say(JSON.stringify(round))
  }
}
