/** node replication-million.ts <url> <place> <rows> <bytes>: ships rows that another program commits at once. Prints what that took. */
import Database from 'better-sqlite3'
import { openStorage } from '../../src/index.ts'

const [url = '', to = '', rows = '', bytes = ''] = process.argv.slice(2)
// A policy that drops cached paths has two entries in the log, which keeps a million.
const pathCache = { invalidation: 'manual' } as const
await using store = await openStorage({ url, pathCache, replicate: { to, everySeconds: 3_600 } })
await store.flushReplica()
const raw = new Database(url)
raw.exec(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${Number(rows)})
  INSERT INTO policies SELECT 'policy-' || n, '# ' || n || replace(hex(zeroblob(${Math.round(Number(bytes) / 2)})), '0', 'x'), 0, 1.0, 1.0 FROM numbers`)
raw.close()

let turns = 0
let longest = 0
let heap = 0
let isOver = false
let cpu = used()
/** Processor time of this thread, in milliseconds: other processes do not count. */
function used(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
function turn(): void {
  const now = used()
  longest = Math.max(longest, now - cpu)
  cpu = now
  if (turns++ % 50 === 0) heap = Math.max(heap, process.memoryUsage().heapUsed)
  if (!isOver) setImmediate(turn)
}
setImmediate(turn)
await store.flushReplica()
isOver = true
console.log(JSON.stringify({ turns, longestMs: longest, heapMiB: heap / 1_048_576 }))
