/** One transaction of many rows is shipped in little memory, and the event loop turns meanwhile. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { FolderPlace } from '../../src/replication/folder.ts'
import { verifyPlace } from '../../src/replication/verify.ts'
import { objectsIn } from '../replication/support/replicas.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { shows } from './shown.ts'

const ROWS = bound('REPLICATION_ROWS', { short: 10_000, long: 1_000_000 })
/** The bytes of a row: together more than the heap. */
const BYTES = bound('REPLICATION_ROW_BYTES', { short: 8_000, long: 100 })
const HEAP_MB = 64
const PROGRAM = join(import.meta.dirname, 'replication-million.ts')

test(`${ROWS} rows of one transaction fit into ${HEAP_MB} MB of heap`, async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  const args = [`--max-old-space-size=${HEAP_MB}`, PROGRAM, folder.file('mesh.db'), to, String(ROWS), String(BYTES)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const { turns, longestMs, heapMiB } = JSON.parse(stdout) as Record<string, number>
  // One segment for one committed state: no transaction is split.
  expect(objectsIn(to).filter((name) => name.endsWith('.segment'))).toHaveLength(2)
  const { problems, rows } = await verifyPlace(new FolderPlace(to))
  expect([problems, rows]).toEqual([[], ROWS])
  // Each turn is some hundred rows: timers, sockets and other calls run in between.
  expect(turns).toBeGreaterThan(ROWS / 1_000)
  shows(
    `${ROWS} rows in one transaction: ${Math.round(heapMiB ?? 0)} MiB of heap, the event loop held for ${Math.round(longestMs ?? 0)} ms of processor time`,
  )
})
