/** examples/deploy, installed from the tarball and released as it says: an application that has nothing but the package. */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readdir, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { startPostgres } from '../../test/support/postgres-server.ts'
import { readJson, writeJson } from '../build/files.ts'
import { check, command, npm, type Result } from './run.ts'

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
}

type Tool = readonly [program: string, ...args: string[]]
const RELEASE: Tool = ['sh', 'release.sh']
const KIT: Tool = ['npx', 'drizzle-kit', 'migrate']
const UP: Tool = ['npx', 'meshstore', 'migrate', 'up']
const STATUS: Tool = ['npx', 'meshstore', 'migrate', 'status']

export async function checkDeploy(work: string, tarball: string): Promise<void> {
  const app = join(work, 'deploy')
  await cp(join(import.meta.dirname, '../../examples/deploy'), app, { recursive: true })
  const manifest = await readJson<Manifest>(join(app, 'package.json'))
  await writeJson(join(app, 'package.json'), {
    ...manifest,
    dependencies: { ...manifest.dependencies, meshstore: `file:${tarball}` },
  })
  await npm(app, ['install'])

  const run = (database: string, [program, ...args]: Tool): Promise<Result> =>
    command(program, args, placeOf(app, database))
  const each = async (database: string, tools: readonly Tool[]): Promise<void> => {
    for (const tool of tools) {
      const { code, stdout, stderr } = await run(database, tool)
      equal(code, 0, `${tool.join(' ')}\n${stdout}${stderr}`)
    }
  }
  const backups = async (): Promise<number> =>
    (await readdir(join(app, 'backups'))).filter((name) => name.endsWith('.sqlite')).length
  await check('a release with nothing there, and another one, which makes a backup first', async () => {
    await each('sqlite:./mesh.db', [RELEASE, RELEASE])
    equal(await backups(), 1)
  })
  await check('the application serves, and ends in order', () => serves(app, 'sqlite:./mesh.db'))
  await check('it does not start without a database, nor while something is pending', async () => {
    const missing = await run('sqlite:./new.db', ['node', 'server.mjs'])
    equal(missing.code, 1)
    match(missing.stderr, /There is no database at \.\/new\.db\. .* run meshstore migrate up\./)
    await writeFile(join(app, 'empty.db'), '')
    const pending = await run('sqlite:./empty.db', ['node', 'server.mjs'])
    equal(pending.code, 1)
    match(pending.stderr, /Migrations are pending: 0000_create_tables/)
  })
  await check('on SQLite drizzle-kit sees what meshstore applied, and the other way round', async () => {
    await each('sqlite:./kit-first.db', [KIT, STATUS, UP, STATUS, KIT])
    await each('sqlite:./ours-first.db', [UP, KIT, STATUS])
  })
  const server = await startPostgres()
  try {
    await check('on PostgreSQL too', async () => {
      await each(server.url('postgres'), [KIT, STATUS, UP, STATUS, KIT])
      await serves(app, server.url('postgres'))
      await each(server.url('template1'), [UP, KIT, STATUS])
      const before = await backups()
      await each(server.url('template1'), [RELEASE])
      equal(await backups(), before + 1)
    })
  } finally {
    await server.stop()
  }
}

const placeOf = (app: string, database: string) => ({
  cwd: app,
  env: { DATABASE_URL: database, PATH: [dirname(process.execPath), process.env.PATH ?? ''].join(delimiter), PORT: '0' },
})

async function serves(app: string, database: string): Promise<void> {
  const { cwd, env } = placeOf(app, database)
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  try {
    const [line] = await once(createInterface(child.stdout), 'line')
    const port = /\d+/.exec(line)?.[0]
    deepEqual(await (await fetch(`http://127.0.0.1:${port}/nodes`)).json(), [])
    ok((await fetch(`http://127.0.0.1:${port}/health`)).ok)
  } finally {
    child.kill('SIGTERM')
  }
  deepEqual(await ended, [0, null])
}
