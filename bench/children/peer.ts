/**
 * `peer.ts FILE DATABASE first`: opens the database with a peer and says the id of its first node as soon as it has it.
 * `peer.ts FILE DATABASE iterate`: reads every row, and says how many, how long it took, and the memory that it added.
 */
import { writeSync } from 'node:fs'
import type { SqlitePeerModule } from '../peer.ts'

const [, , file = '', database = '', mode] = process.argv
const { open }: SqlitePeerModule = await import(file)
const peer = await open(database, 'full')
const resident = (): number => process.memoryUsage.rss()

if (mode === 'first') {
  const [node] = await peer.list('', 1)
  writeSync(1, `${node?.nodeId}\n`)
} else {
  // Modules that are loaded at the first use do not count as memory of the rows.
  await peer.list('', 1)
  const before = resident()
  const begun = performance.now()
  let most = before
  let rows = 0
  for await (const _ of peer.iterate()) {
    if (++rows % 1_000 === 0) most = Math.max(most, resident())
  }
  console.log(JSON.stringify({ rows, ms: performance.now() - begun, before, most }))
}
await peer.close()
