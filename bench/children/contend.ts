/**
 * `contend.ts SIDE FILE NAME MILLISECONDS`: says that it is ready, waits for a byte, then inserts one row after the other
 * for so long. Says how many, the longest wait, and how many failed.
 */
import { once } from 'node:events'
import { nodeOf } from '../data.ts'
import { Sqlite } from '../driver.ts'
import { openStorage } from '../library.ts'

const [, , side, file = '', name = '', milliseconds] = process.argv

interface Writer {
  readonly insert: (n: number) => unknown
  readonly close: () => unknown
}

async function meshstore(): Promise<Writer> {
  const store = await openStorage(file)
  return { insert: (n) => store.nodes.create(nodeOf(n, `${name}-${n}`)), close: () => store.close() }
}

/** Its timeout is the driver's default. */
function raw(): Writer {
  const handle = new Sqlite(file)
  handle.pragma('journal_mode = WAL')
  handle.pragma('synchronous = FULL')
  const insert = handle.prepare('INSERT INTO nodes VALUES (?, ?, ?, 0, 0, ?, ?)')
  return {
    insert: (n) => {
      const { nodeId, interfaces, protocols } = nodeOf(n, `${name}-${n}`)
      const now = Date.now() / 1000
      return insert.run(nodeId, JSON.stringify(interfaces), JSON.stringify(protocols), now, now)
    },
    close: () => handle.close(),
  }
}

const writer = side === 'raw' ? raw() : await meshstore()
process.stdout.write('ready\n')
await once(process.stdin, 'data')

const end = performance.now() + Number(milliseconds)
let [writes, worst, failures] = [0, 0, 0]
for (let n = 0; performance.now() < end; n++) {
  const begun = performance.now()
  try {
    await writer.insert(n)
    writes++
  } catch {
    failures++
  }
  worst = Math.max(worst, performance.now() - begun)
}
console.log(JSON.stringify({ writes, worst, failures }))
await writer.close()
process.stdin.destroy()
