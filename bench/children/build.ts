/**
 * `build.ts ENTRY FILE-OR-URL DURABILITY`: one build of the library. The parent names an operation and a round; this process
 * runs it and answers with microseconds of processor time and of real time for each of its calls or rows.
 */
import { pathToFileURL } from 'node:url'
import type { Meshstore } from '../../src/index.ts'
import { OPERATIONS } from '../build-operations.ts'
import { fill } from '../data.ts'

const [, , entry = '', url = '', durability] = process.argv
const { openStorage }: typeof import('../../src/index.ts') = await import(pathToFileURL(entry).href)
const open = (): Promise<Meshstore> => openStorage({ url, durability: durability as 'full' })
const filling = await open()
await fill(filling)
// Both builds begin with an empty log: a commit that makes the file larger costs more than one that does not.
await filling.close()
const store = await open()

process.on('message', async ({ name, round }: { name: string; round: number }) => {
  const operation = OPERATIONS[name]
  if (operation === undefined) throw new Error(`There is no operation ${name}.`)
  const prepared = await operation.prepare(store, round)
  const [begun, before] = [performance.now(), process.cpuUsage()]
  await prepared.run()
  const { user, system } = process.cpuUsage(before)
  const milliseconds = performance.now() - begun
  await prepared.after?.()
  process.send?.({ cpu: (user + system) / prepared.count, real: (milliseconds * 1_000) / prepared.count })
})
process.on('disconnect', async () => {
  await store.close()
})
process.send?.('open')
