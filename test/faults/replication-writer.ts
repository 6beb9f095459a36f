/** node replication-writer.ts <url> <place> <seed>: goes on writing where the database is. It replicates unless the place is empty. */
import { openStorage } from '../../src/index.ts'
import { COUNTER, run, unitOf } from './replication-model.ts'

const [url = '', to = '', seed = ''] = process.argv.slice(2)
const replicate = to === '' ? undefined : { to, everySeconds: 0.05 }
await using store = await openStorage({ url, busyTimeoutMs: 60_000, replicate })
let next = ((await store.nodes.get(COUNTER))?.routesDiscovered ?? -1) + 1
for (;;) {
  const unit = next++
  await run(store, unitOf(Number(seed), unit))
  process.send?.(unit)
}
