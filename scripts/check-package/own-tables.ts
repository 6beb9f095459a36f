/** A new user's path to own tables: the files of the guide in an empty folder, from the first migration to PostgreSQL. */
import { deepEqual, equal, match } from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { startPostgres } from '../../test/support/postgres-server.ts'
import { writeJson } from '../build/files.ts'
import { COMMAND, check, command, npm } from './run.ts'

const GUIDE = join(import.meta.dirname, '../../docs/guides/own-tables.md')

/** The same program on both databases. It can run again. */
const PROGRAM = `import { openStorage } from 'meshstore'
import { app } from './schema.ts'

const migrate = process.env.MIGRATE ?? 'apply'
const store = await openStorage({ url: process.env.DATABASE_URL, tables: app, migrations: './drizzle', migrate })
await store.transaction(async (tx) => {
  for (const nodeId of ['gw-1', 'gw-2']) await tx.nodes.save({ nodeId, interfaces: ['eth0'], protocols: [] })
  await tx.tables.links.save({ linkId: 'gw-1:gw-2', source: 'gw-1', target: 'gw-2', cost: 2 })
})
const costs = await store.query((db, { links }) => db.select({ linkId: links.linkId, cost: links.cost }).from(links))
console.log(JSON.stringify({ dialect: store.dialect, costs }))
await store.close()
`

export async function checkOwnTables(work: string, tarball: string): Promise<void> {
  const app = join(work, 'own-tables')
  await mkdir(app)
  await writeJson(join(app, 'package.json'), { name: 'app', private: true, type: 'module' })
  await npm(app, ['install', tarball, 'drizzle-kit@0.31'])
  for (const [name, code] of await filesOfGuide()) await writeFile(join(app, name), code)

  const url = 'sqlite:./mesh.db'
  const run = async (database: string, args: readonly string[], migrate = 'apply'): Promise<string> => {
    const env = {
      DATABASE_URL: database,
      MIGRATE: migrate,
      PATH: [dirname(process.execPath), process.env.PATH ?? ''].join(delimiter),
    }
    const { code, stdout, stderr } = await command(process.execPath, args, { cwd: app, env })
    equal(code, 0, `${args.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
  const kit = (...args: string[]): string[] => [join('node_modules', 'drizzle-kit', 'bin.cjs'), ...args]
  const meshstore = (...args: string[]): string[] => [COMMAND, ...args]
  const server = await startPostgres()
  try {
    const there = server.url('postgres')
    await check('own tables: the files of the guide make migrations for both databases', async () => {
      for (const dialect of ['sqlite', 'postgres'])
        await run(url, kit('generate', '--config', `drizzle.${dialect}.config.js`))
      match(await run(url, meshstore('migrate', 'generate', '--schema', './schema.ts')), /wrote .*0001_meshstore\.sql/)
      for (const dialect of ['sqlite', 'postgres'])
        match(await run(url, kit('generate', '--config', `drizzle.${dialect}.config.js`)), /No schema changes/)
    })
    const costs = [{ linkId: 'gw-1:gw-2', cost: 2 }]
    await check('own tables: a program writes a node and a link in one transaction', async () => {
      deepEqual(JSON.parse(await run(url, ['program.ts'])), { dialect: 'sqlite', costs })
      deepEqual(JSON.parse(await run(url, ['program.ts'], 'check')), { dialect: 'sqlite', costs })
    })
    await check('own tables: a backup has them', async () => {
      match(await run(url, meshstore('backup', 'create', '--file', './mesh.backup')), /1 row of links/)
      match(await run(url, meshstore('backup', 'verify', './mesh.backup')), /1 row of links/)
    })
    await check('own tables: a copy to PostgreSQL says first what is missing there', async () => {
      await run(there, meshstore('migrate', 'up'))
      const { code, stderr } = await command(process.execPath, meshstore('copy', '--from', url, '--to', there), {
        cwd: app,
      })
      match(stderr, /The target has no tables links.*First apply the application's migrations/)
      equal(code === 0, false)
    })
    await check('own tables: once migrated there, a copy has them, and the same program runs', async () => {
      await run(there, kit('migrate', '--config', 'drizzle.postgres.config.js'))
      match(await run(there, meshstore('copy', '--from', url, '--to', there)), /1 row of links/)
      deepEqual(JSON.parse(await run(there, ['program.ts'], 'check')), { dialect: 'postgresql', costs })
      await run(there, meshstore('check', '--quick'))
      match(await run(there, meshstore('inspect', 'links')), /gw-1:gw-2 {2}source=gw-1/)
    })
  } finally {
    await server.stop()
  }
}

async function filesOfGuide(): Promise<Map<string, string>> {
  const page = await readFile(GUIDE, 'utf8')
  const files = new Map<string, string>()
  for (const [, code = ''] of page.matchAll(/^```(?:typescript|js)\n(.*?)^```$/gms)) {
    const [, name] = /^\/\/ (\S+\.[jt]s)\n/.exec(code) ?? []
    if (name !== undefined) files.set(name, code)
  }
  // What the guide says in words: the same with PostgreSQL's names.
  const sqlite = files.get('tables.sqlite.ts') ?? ''
  const config = files.get('drizzle.sqlite.config.js') ?? ''
  files.set(
    'tables.postgres.ts',
    sqlite.replaceAll('sqliteTable', 'pgTable').replaceAll('tables/sqlite', 'tables/postgres'),
  )
  files.set(
    'drizzle.postgres.config.js',
    `${config
      .replace("'sqlite'", "'postgresql'")
      .replace('tables.sqlite', 'tables.postgres')
      .replace('drizzle/sqlite', 'drizzle/postgresql')
      .replace(/\}\s*$/, '')}  dbCredentials: { url: process.env.DATABASE_URL },\n}\n`,
  )
  files.set('program.ts', PROGRAM)
  return files
}
