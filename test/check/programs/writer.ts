/** Writes nodes into a file until it is killed. Says when it has begun. */
import { openStorage } from '../../../src/index.ts'

const store = await openStorage(process.argv[2] ?? '')
for (let written = 0; ; written++) {
  await store.nodes.save({ nodeId: `written-${written % 1_000}`, interfaces: ['eth0'], protocols: [] })
  if (written === 100) process.stdout.write('"writing"\n')
}
