/** `first-row.mjs ENTRY FILE`: says the id of the first node as soon as it has it. */
import { writeSync } from 'node:fs'
import { open } from './open.mjs'

const [, , entry, file] = process.argv
const store = await open(entry, file)
const { nodeId } = await store.first()
writeSync(1, `${nodeId}\n`)
await store.close()
