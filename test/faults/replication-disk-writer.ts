/** node replication-disk-writer.ts <url> <place> <seconds> <writes per second>: writes, and reports what was acknowledged and shipped. */
import { openStorage } from '../../src/index.ts'
import { node } from '../support/samples.ts'

const TURN_MS = 10
const [url = '', to = '', everySeconds = '', rate = ''] = process.argv.slice(2)
await using store = await openStorage({ url, replicate: { to, everySeconds: Number(everySeconds) } })
await store.nodes.save(node('first'))
await store.flushReplica()
process.send?.({ ready: true })
let next = 0
const begun = Date.now()
for (;;) {
  const due = ((Date.now() - begun) * Number(rate)) / 1_000
  const numbers: number[] = []
  while (next < due && numbers.length < 200) numbers.push(next++)
  await Promise.all(numbers.map((number) => store.nodes.save(node(`n${number}`, { routesDiscovered: number }))))
  const upTo = (await store.health()).replication?.upTo?.getTime()
  process.send?.({ last: next - 1, at: Date.now(), upTo })
  await new Promise((done) => setTimeout(done, TURN_MS))
}
