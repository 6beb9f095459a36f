/**
 * Calls at random for long: `node test/faults/isolation-program.ts TRANSACTIONS SEED`, on files, or on the server whose
 * administrator's URL is in `CALLS_SERVER`. In the test runner a transaction takes twice the time. It ends with 1 at the first batch in which
 * something is wrong, and keeps that batch's history.
 */
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BATCH, inBatches } from './isolation/batches.ts'
import { openFile, openOn } from './isolation/places.ts'

const SAID_EVERY = 10 * BATCH

const [count, first] = process.argv.slice(2)
const server = process.env.CALLS_SERVER ?? ''
const open = () => (server === '' ? openFile() : openOn(server))
const came = await inBatches(open, Number(count), Number(first), ({ found, history, audit }, seed, asked) => {
  if (found.length > 0) {
    // Not what was found: it holds values.
    const kept = join(tmpdir(), `meshstore-history-${seed}-${process.pid}.json`)
    writeFileSync(kept, JSON.stringify({ seed, found, history, audit }), { mode: 0o600 })
    console.error(`SEED=${seed}: ${found.map(({ anomaly }) => anomaly).join(', ')}: ${kept}`)
    process.exit(1)
  }
  if (asked % SAID_EVERY === 0) console.error(`SEED=${seed}: ${asked} transactions, no cycle`)
})
console.log(JSON.stringify(came))
