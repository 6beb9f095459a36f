/** Looking changes nothing: the file's bytes stay, and nothing lies beside it afterwards. */
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { inspect } from '../../src/open/migrate.ts'
import { runCommand } from '../cli/support/command.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { TAGS } from '../support/tags.ts'
import type { Row } from './support/cells.ts'
import { client, contentOf, makeFile } from './support/client.ts'
import { DDL, nodeRow, pathRow, policyRow } from './support/ddl.ts'
import { changingNothing } from './support/unchanged.ts'

const GOOD = [nodeRow(), nodeRow({ node_id: 'none', started: null }), policyRow(), pathRow()]
const DROPPED = pathRow({ source: 'fe80::1' })
const BROKEN = nodeRow({ node_id: 'broken', started: 'maybe' })

async function fileOf(folder: TemporaryFolder, rows: readonly Row[], journal: string): Promise<string> {
  return makeFile(folder.file('mesh.db'), rows, { sql: `PRAGMA journal_mode = ${journal}; ${DDL}` })
}

describe.each(['DELETE', 'WAL'])('a file with journal mode %s', (journal) => {
  test("migrate: 'check' and readOnly refuse it, and change nothing", async () => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, GOOD, journal)
    await changingNothing(folder.path, async () => {
      for (const options of [{ migrate: 'check' }, { readOnly: true }, { readOnly: true, migrate: 'check' }] as const) {
        const { message } = await expectCode(openStorage({ url: path, ...options }), 'SCHEMA_MISMATCH')
        expect(message).toContain('adopted')
      }
    })
  })

  test("migrate: 'skip' reads it as it is, and adopts nothing", async () => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, GOOD, journal)
    const before = contentOf(path)
    for (const readOnly of [true, false]) {
      await using store = await openStorage({ url: path, migrate: 'skip', readOnly })
      expect(await store.nodes.get('gw-1')).toMatchObject({ started: true, routesDiscovered: 7 })
      await expectCode(store.nodes.get('none'), 'CORRUPT')
    }
    expect(contentOf(path)).toEqual(before)
    expect(await inspect(path)).toMatchObject({ state: 'adoptable' })
  })

  test('status says what would become of the rows, and changes nothing', async () => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, [...GOOD, DROPPED], journal)
    const status = await changingNothing(folder.path, () => inspect(path))
    expect(status).toMatchObject({ state: 'adoptable', applied: [], drift: undefined })
    expect(status.pending).toHaveLength(TAGS.length)
    expect(status.adoption?.tables).toEqual([
      { table: 'nodes', kept: 2, normalised: 1, dropped: 0, refused: 0 },
      { table: 'policies', kept: 1, normalised: 0, dropped: 0, refused: 0 },
      { table: 'path_cache', kept: 1, normalised: 0, dropped: 1, refused: 0 },
    ])
  })

  test.each([
    ['status', [], 3],
    ['plan', [], 0],
    ['adopt', ['--dry-run'], 3],
  ])('the command %s %j changes nothing', async (command, options, good) => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, [...GOOD, DROPPED], journal)
    const args = ['migrate', command, ...options, '--url', path]
    const text = await changingNothing(folder.path, () => runCommand(args))
    expect(text).toMatchObject({ code: good, stderr: '' })
    expect(text.stdout).toContain('Would keep 2 rows of nodes; 1 with 0 in place of NULL.')

    await using application = client.open(path)
    await application.insert([BROKEN])
    await application[Symbol.asyncDispose]()
    const refused = await changingNothing(folder.path, () => runCommand([...args, '--json']))
    expect(refused).toMatchObject({ code: 4, stderr: '' })
    expect(JSON.parse(refused.stdout)).toMatchObject({ state: 'refused', problem: { code: 'SCHEMA_MISMATCH' } })
  })
})

test('--dry-run with --quarantine says what would go there, makes no file, and finds nothing in the way', async () => {
  using folder = temporaryFolder()
  const path = await fileOf(folder, [...GOOD, BROKEN], 'DELETE')
  const options = ['--dry-run', '--quarantine', folder.file('rows.ndjson')]
  const { stdout, code } = await changingNothing(folder.path, () =>
    runCommand(['migrate', 'adopt', ...options, '--url', path]),
  )
  expect(stdout).toContain('nodes row 3 ("broken"): started is neither 0 nor 1')
  expect(stdout).not.toContain('adopt --quarantine FILE')
  expect(code).not.toBe(4)
})

test('the preview says the same as the adoption', async () => {
  using folder = temporaryFolder()
  const path = await fileOf(folder, [...GOOD, DROPPED, BROKEN], 'DELETE')
  const args = ['--url', path, '--json']
  const preview = JSON.parse((await runCommand(['migrate', 'status', ...args])).stdout)
  const quarantine = ['--quarantine', folder.file('rows.ndjson')]
  const done = await runCommand(['migrate', 'adopt', ...args, ...quarantine])
  expect(done).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(done.stdout).adoption).toEqual(preview.adoption)
})
