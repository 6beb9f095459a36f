/** A store whose locks a second SQLite of the same process drops: says what it was told of each write, and kills itself. */
import { execFileSync } from 'node:child_process'
import { writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { openStorage, StorageError } from '../../../src/index.ts'
import { node } from '../../support/samples.ts'

const path = process.argv[2] ?? ''
const store = await openStorage(path)
await store.nodes.create(node('first'))

const LOOK = `const file = new (require('node:sqlite').DatabaseSync)(process.argv[1])
  file.prepare('SELECT count(*) FROM nodes').get()
  file.close()`
const second = new DatabaseSync(path)
second.prepare('SELECT count(*) FROM nodes').get()
const writes = [store.nodes.create(node('between'))]
await Promise.all(writes)
second.close()
// It takes itself for the last program that has the file open, and deletes the log.
execFileSync(process.execPath, ['--no-warnings', '-e', LOOK, path])

const acknowledged: string[] = ['first', 'between']
const codes: string[] = []
for (let index = 0; index < 100; index++) {
  await store.nodes.create(node(`n-${index}`)).then(
    ({ nodeId }) => acknowledged.push(nodeId),
    (error: unknown) => codes.push(error instanceof StorageError ? error.code : String(error)),
  )
}
const { canWrite, problems } = await store.health()
writeSync(1, `${JSON.stringify({ acknowledged, codes, canWrite, problems })}\n`)
process.kill(process.pid, 'SIGKILL')
