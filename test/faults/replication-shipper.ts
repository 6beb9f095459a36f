/** node replication-shipper.ts <url> <place>: ships a database until it gets SIGTERM. */
import { openStorage } from '../../src/index.ts'

const [url = '', to = ''] = process.argv.slice(2)
const store = await openStorage({ url, busyTimeoutMs: 60_000, replicate: { to, everySeconds: 0.03 } })
await store.flushReplica()
const alive = setInterval(() => {}, 60_000)
process.once('SIGTERM', async () => {
  clearInterval(alive)
  await store.close()
  process.exit()
})
process.send?.('ships')
