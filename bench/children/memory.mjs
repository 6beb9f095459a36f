/** `memory.mjs ENTRY FILE reads N`: resident bytes after N reads by id. `… iterate`: what reading every row adds. */
import { open } from './open.mjs'

const [, , entry, file, mode, count] = process.argv
const store = await open(entry, file)
const { nodeId } = await store.first()
const resident = () => process.memoryUsage.rss()

if (mode === 'reads') {
  for (let n = 0; n < Number(count); n++) await store.read(nodeId)
  console.log(JSON.stringify({ resident: resident() }))
} else {
  const before = resident()
  let most = before
  let rows = 0
  for await (const _ of store.all()) {
    if (++rows % 1_000 === 0) most = Math.max(most, resident())
  }
  console.log(JSON.stringify({ rows, before, most }))
}
await store.close()
