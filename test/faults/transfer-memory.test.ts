/** Files that are far larger than the memory that a process may take. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { MAIN } from '../cli/support/command.ts'
import { lastingBackends } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { LATEST } from '../support/tags.ts'
import { nodeLine, pathLine } from '../transfer/support/transferred.ts'

const ROWS = bound('TRANSFER_ROWS', { short: 100_000, long: 1_000_000 })
/** Half a megabyte each. */
const BUNDLES = 200
const HEAP_MB = 64

const node = (...args: readonly string[]) => {
  const limited = [`--max-old-space-size=${HEAP_MB}`, ...args]
  return spawnSync(process.execPath, limited, { encoding: 'utf8', maxBuffer: 1e9 })
}

describe.each(lastingBackends)(`in ${HEAP_MB} MB of heap, on $name`, (backend) => {
  test(`${ROWS} rows and 100 MB of bundles, there and back`, async () => {
    using folder = temporaryFolder()
    await using opened = await backend.open()
    const [file, out] = [folder.file('mesh.ndjson'), folder.file('out.ndjson')]
    await write(file)
    const imported = node(MAIN, 'import', file, '--url', opened.url)
    expect(imported).toMatchObject({ status: 0, stderr: '' })
    expect(imported.stdout).toBe(`nodes: ${ROWS.toLocaleString('en-US')} added\npath_cache: 200 added\n`)
    expect(node(MAIN, 'export', '--url', opened.url, '-o', out)).toMatchObject({ status: 0, stderr: '' })
    expect(await opened.store.nodes.count()).toBe(ROWS)
    expect(node(MAIN, 'import', out, '--url', folder.file('copy.db'), '--dry-run')).toMatchObject({ status: 0 })
    // The limit is one: whoever holds the file in memory does not come far.
    const all = `require('fs').readFileSync(process.argv[1], 'utf8').split('\\n').map((line) => line && JSON.parse(line))`
    expect(node('-e', all, file).status).not.toBe(0)
  })
})

/** In no order. */
async function write(file: string): Promise<void> {
  const stream = createWriteStream(file)
  const put = async (line: object): Promise<void> => {
    if (!stream.write(`${JSON.stringify(line)}\n`)) await once(stream, 'drain')
  }
  await put({ format: 'meshstore-ndjson', version: 1, schema: LATEST })
  for (let n = 0; n < ROWS; n++) await put(nodeLine(`n-${String((n * 7_919) % ROWS).padStart(6, '0')}`))
  for (let n = 0; n < BUNDLES; n++) {
    const source = `a-${n}`
    const value = { source, destination: 'z', primary: [], pad: String(n).padEnd(500_000, 'x') }
    await put(pathLine(source, { bundle_json: JSON.stringify(value) }))
  }
  await put({ end: 'meshstore-ndjson', rows: { nodes: ROWS, policies: 0, path_cache: BUNDLES } })
  stream.end()
  await once(stream, 'finish')
}
