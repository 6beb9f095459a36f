/** Makes a backup for each line that it is sent, whatever the schema. */
import { createInterface } from 'node:readline'
import { openStorage } from '../../../src/index.ts'

const store = await openStorage({ url: process.argv[2] ?? '', migrate: 'skip', pool: { max: 1 } })
process.stdout.write('@ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  await store.backup(JSON.parse(line))
  process.stdout.write('@done\n')
}
