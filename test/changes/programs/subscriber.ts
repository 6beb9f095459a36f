/**
 * Reads changes into a file, each with its token, and goes on from there when it is started again. `together`: so many are written
 * at once, as by an application that notes its place now and then.
 */
import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs'
import { openStorage } from '../../../src/index.ts'
import { say } from '../../sqlite/support/messages.ts'
import { words } from '../support/reading.ts'

export const LAST = 'the-last'

const [url = '', file = '', together = '1', keepSeconds = '30'] = process.argv.slice(2)
// One of the tests drops a trigger, which an open that compares the schema would refuse.
const store = await openStorage({ url, migrate: 'skip', busyTimeoutMs: 600_000, pathCache: { sweepSeconds: 0.5 } })

/** The last token in the file whose line was written whole. */
function lastToken(): string | undefined {
  if (!existsSync(file)) return undefined
  const text = readFileSync(file, 'utf8')
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  truncateSync(file, Buffer.byteLength(whole))
  return whole.trimEnd().split('\n').at(-1)?.split('\t')[0] || undefined
}

const after = lastToken()
const changes = store.changes({ after, keepSeconds: Number(keepSeconds) })
const token = await changes.ready()
if (after === undefined) appendFileSync(file, `${token}\tready\n`)
say('@ready')
let lines: string[] = []
for await (const change of changes) {
  lines.push(`${change.token}\t${words(change)}\n`)
  const isLast = change.key === LAST
  if (lines.length < Number(together) && !isLast) continue
  appendFileSync(file, lines.join(''))
  lines = []
  if (isLast) break
}
await store.close()
say('@done')
