/**
 * Tasks of a new user, done by the pages alone: the commands and programs are taken from them as they stand. Two more are done
 * elsewhere: tables/guide.test.ts runs docs/guides/own-tables.md, and runbook.test.ts finds out why writes are BUSY.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openStorage } from '../src/index.ts'
import { MAIN, type Ran, runProgram } from './cli/support/command.ts'
import { createDatabase } from './postgres/support/database.ts'
import { describePostgres } from './postgres/support/suite.ts'
import { temporaryFolder } from './support/folders.ts'
import { bundle, manyNodes, pathKey } from './support/samples.ts'

const root = join(import.meta.dirname, '..')
const SERVER = 'postgres://mesh@db.example.net/mesh'

/** The commands that `npx` finds where the package is installed. */
const tools = temporaryFolder()
writeFileSync(
  tools.file('npx'),
  `#!/bin/sh\n[ "$1" = meshstore ] && shift && exec '${process.execPath}' '${MAIN}' "$@"\n`,
)
chmodSync(tools.file('npx'), 0o755)
afterAll(() => tools[Symbol.dispose]())

function blockOf(page: string, language: string, containing: string): string {
  const blocks = readFileSync(join(root, page), 'utf8').matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))
  const found = [...blocks].map(([, block = '']) => block).find((block) => block.includes(containing))
  expect(found, `${page} has a block of ${language} with ${containing}`).toBeDefined()
  return found ?? ''
}

const inShell = (commands: string, cwd: string): Promise<Ran> =>
  runProgram('sh', ['-ec', commands], { cwd, env: { PATH: `${tools.path}:${process.env.PATH}` } })

async function filled(folder: string): Promise<void> {
  await using store = await openStorage(`sqlite:${join(folder, 'mesh.db')}`)
  await store.nodes.createMany(manyNodes(20))
  await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 3_600 })
}

const countIn = async (url: string): Promise<number> => {
  await using store = await openStorage({ url, readOnly: true })
  return store.nodes.count()
}

test('store and query: the first program of the README, and a look at what it stored', async () => {
  using folder = temporaryFolder()
  const program = blockOf('README.md', 'ts', 'sqlite:./mesh.db').replace(
    "'meshstore'",
    `'${join(root, 'src/index.ts')}'`,
  )
  writeFileSync(folder.file('package.json'), '{ "type": "module" }')
  writeFileSync(folder.file('first.ts'), program)
  expect(await runProgram(process.execPath, ['first.ts'], { cwd: folder.path })).toMatchObject({ code: 0, stderr: '' })
  const look = blockOf('docs/operations/check.md', 'sh', 'inspect nodes').split('\n')
  const inspect = look.find((line) => line.includes('inspect nodes')) ?? ''
  const { code, stdout } = await inShell(inspect, folder.path)
  expect(code).toBe(0)
  expect(stdout).toMatch(/gw-1 +started +eth0 +batman-adv,cjdns/)
})

test('a backup of yesterday is restored', async () => {
  using folder = temporaryFolder()
  await filled(folder.path)
  const { code, stderr } = await inShell(blockOf('docs/operations/backup.md', 'sh', 'restore --from'), folder.path)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(await countIn(`sqlite:${folder.file('restored.db')}`)).toBe(20)
})

describePostgres('the way to PostgreSQL', () => {
  test('while nobody writes: copy', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    await filled(folder.path)
    const commands = blockOf('docs/operations/copy.md', 'sh', 'meshstore copy').replaceAll(SERVER, `'${database.url}'`)
    const { code, stderr } = await inShell(commands, folder.path)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await countIn(database.url)).toBe(20)
  })

  test('while applications write: move, with a look first', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    await filled(folder.path)
    const page = readFileSync(join(root, 'docs/moving-to-postgresql.md'), 'utf8')
    const [look, move] = [...page.matchAll(/^ *\$ (npx meshstore move .*)$/gm)].map(([, command = '']) =>
      command.replaceAll(SERVER, `'${database.url}'`),
    )
    expect(look).toContain('--dry-run')
    // The page answers a question in a terminal; here is none.
    const { code } = await inShell(`${look}\n${move} --yes`, folder.path)
    expect(code).toBe(0)
    expect(await countIn(database.url)).toBe(20)
  })
})
