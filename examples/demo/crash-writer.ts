/**
 * `crash-writer.ts FILE`: writes until it is killed. Says `b <key>` before it begins a write, and `a <key>` when the write
 * has been acknowledged; each at once, by a system call of its own, so that nothing of it is lost with the process.
 */
import { writeSync } from 'node:fs'
import { openStorage } from '../../src/index.ts'
import { crashNode, PAIR_EVERY, pairNodes } from './crash-rows.ts'

const IN_FLIGHT = 16

const [, , file = ''] = process.argv
const say = (what: 'b' | 'a', n: number): void => {
  writeSync(1, `${what} ${n}\n`)
}

const store = await openStorage(file)
let next = 0

async function writeForEver(): Promise<never> {
  for (;;) {
    const n = next++
    say('b', n)
    if (n % PAIR_EVERY === 0) {
      const [one, other] = pairNodes(n)
      await store.transaction(async (tx) => {
        await tx.nodes.create(one)
        await tx.nodes.create(other)
      })
    } else {
      await store.nodes.create(crashNode(n))
    }
    say('a', n)
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, writeForEver))
