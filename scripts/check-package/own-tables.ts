/** A new user's path to own tables: the files of the guide in an empty folder, from the first migration to PostgreSQL. */
import { deepEqual, equal, match } from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { startPostgres } from '../../test/support/postgres-server.ts'
import { writeJson } from '../build/files.ts'
import { KITS, type Kit } from './drizzle-kit.ts'
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

type Run = (database: string, args: readonly string[], migrate?: 'apply' | 'check') => Promise<string>

const URL_HERE = 'sqlite:./mesh.db'
const COSTS = [{ linkId: 'gw-1:gw-2', cost: 2 }]
const CONFIGS = ['drizzle.sqlite.config.js', 'drizzle.postgres.config.js']
const kit = (...args: string[]): string[] => [join('node_modules', 'drizzle-kit', 'bin.cjs'), ...args]
const meshstore = (...args: string[]): string[] => [COMMAND, ...args]

export async function checkOwnTables(work: string, tarball: string): Promise<void> {
  const server = await startPostgres()
  try {
    await checkGuide(await application(work, tarball, '0.31'), server.url('postgres'))
    await checkNextKit(await application(work, tarball, '1.0'), server.url('template1'))
  } finally {
    await server.stop()
  }
}

interface Application {
  readonly folder: string
  readonly run: Run
}

/** The files of the guide in a folder of their own. */
async function application(work: string, tarball: string, version: Kit): Promise<Application> {
  const folder = join(work, `own-tables-${version}`)
  await mkdir(folder)
  await writeJson(join(folder, 'package.json'), { name: 'app', private: true, type: 'module' })
  await npm(folder, ['install', tarball, `drizzle-kit@${KITS[version]}`])
  for (const [name, code] of await filesOfGuide()) await writeFile(join(folder, name), code)
  const run: Run = async (database, args, migrate = 'apply') => {
    const env = {
      DATABASE_URL: database,
      MIGRATE: migrate,
      NO_COLOR: '1',
      PATH: [dirname(process.execPath), process.env.PATH ?? ''].join(delimiter),
    }
    const { code, stdout, stderr } = await command(process.execPath, args, { cwd: folder, env })
    equal(code, 0, `${args.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
  return { folder, run }
}

/** Both kits' migrations, with what `meshstore migrate generate` adds. */
async function generate(run: Run, wrote: RegExp): Promise<void> {
  for (const config of CONFIGS) await run(URL_HERE, kit('generate', '--config', config))
  const generating = meshstore('migrate', 'generate', '--schema', './schema.ts')
  match(await run(URL_HERE, generating), wrote)
  for (const config of CONFIGS) match(await run(URL_HERE, kit('generate', '--config', config)), /No schema changes/)
  match(await run(URL_HERE, generating), /have everything that the tables need/)
}

/** drizzle-kit 1.0 writes other folders, and migrates the same databases. */
async function checkNextKit({ run }: Application, there: string): Promise<void> {
  await check('own tables: drizzle-kit 1.0 and meshstore migrate generate make migrations for both databases', () =>
    generate(run, /wrote .*_meshstore.migration\.sql/),
  )
  for (const [url, config = ''] of [
    [URL_HERE, CONFIGS[0]],
    [there, CONFIGS[1]],
  ] as const)
    await check(`own tables: drizzle-kit 1.0 migrates with ${config}, and a program opens it as it is`, async () => {
      await run(url, meshstore('migrate', 'up'))
      for (let time = 0; time < 2; time++) await run(url, kit('migrate', '--config', config))
      const dialect = url === there ? 'postgresql' : 'sqlite'
      deepEqual(JSON.parse(await run(url, ['program.ts'], 'check')), { dialect, costs: COSTS })
      deepEqual(JSON.parse(await run(url, ['program.ts'])), { dialect, costs: COSTS })
      // The check warns of a file that it has no backup.
      if (url === there) await run(url, meshstore('check', '--quick'))
    })
}

async function checkGuide({ folder: app, run }: Application, there: string): Promise<void> {
  const [url, costs] = [URL_HERE, COSTS]
  await check('own tables: the files of the guide make migrations for both databases', () =>
    generate(run, /wrote .*0001_meshstore\.sql/),
  )
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
}

async function filesOfGuide(): Promise<Map<string, string>> {
  const page = await readFile(GUIDE, 'utf8')
  const files = new Map<string, string>()
  for (const [, code = ''] of page.matchAll(/^```(?:typescript|js)\n(.*?)^```$/gms)) {
    const [, name] = /^\/\/ (\S+\.[jt]s)\n/.exec(code) ?? []
    if (name !== undefined) files.set(name, code)
  }
  // As the guide says in words: the same with PostgreSQL's names.
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
