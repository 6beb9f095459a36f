/**
 * `syncs.ts FILE DURABILITY BATCHES`: commits so many batches, one after the other, between two looks at files that are
 * not there, which a system call tracer sees. Says how many commits there were and which `synchronous` the writer has.
 */
import { subscribe } from 'node:diagnostics_channel'
import { existsSync } from 'node:fs'
import type { Database } from 'better-sqlite3'
import { nodeOf } from '../data.ts'
import { Sqlite } from '../driver.ts'
import { openStorage } from '../library.ts'

const WRITES_IN_BATCH = 5

const [, , file = '', durability, batches] = process.argv
const handles = new Set<Database>()
const { pragma } = Sqlite.prototype
Sqlite.prototype.pragma = function (this: Database, ...args: Parameters<typeof pragma>) {
  handles.add(this)
  return pragma.apply(this, args)
}

await using store = await openStorage({ url: file, durability: durability === 'normal' ? 'normal' : 'full' })
const synchronous = [...handles]
  .filter((handle) => handle.open && !handle.readonly)
  .map((handle) => handle.pragma('synchronous', { simple: true }))

// The first commit of a new log also syncs the log's header and the folder's entry of it.
await store.nodes.create(nodeOf(0, 'sync-first'))
let commits = 0
subscribe('tracing:meshstore:commit:start', () => commits++)
existsSync('/begin-counting-syncs')
for (let batch = 0; batch < Number(batches); batch++) {
  const nodes = Array.from({ length: WRITES_IN_BATCH }, (_, n) => nodeOf(n, `sync-${batch}-${n}`))
  await Promise.all(nodes.map((node) => store.nodes.create(node)))
}
existsSync('/end-counting-syncs')
console.log(JSON.stringify({ commits, synchronous }))
