/** Applications with the package and a drizzle-kit: of the line that it was made with, and of the one that comes. */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../../test/support/postgres-server.ts'
import { filesIn, writeJson } from '../build/files.ts'
import { COMMAND, check, command, npm, type Result } from './run.ts'

export const KITS = { '0.31': '0.31', '1.0': '1.0.0-rc.5' } as const
export type Kit = keyof typeof KITS

/** An application's own table, with a folder and a ledger of its own. */
const OWN_CONFIG = `const url = process.env.DATABASE_URL
export default {
  ...(url.startsWith('sqlite:')
    ? { dialect: 'sqlite', dbCredentials: { url: url.slice('sqlite:'.length) } }
    : { dialect: 'postgresql', dbCredentials: { url } }),
  schema: url.startsWith('sqlite:') ? './own-sqlite.ts' : './own-postgres.ts',
  out: url.startsWith('sqlite:') ? './own-sqlite' : './own-postgres',
  migrations: { table: '__app_migrations' },
}
`
const ownSchema = (dialect: 'sqlite' | 'pg'): string =>
  `import { ${dialect}Table, text } from 'drizzle-orm/${dialect}-core'
export const sites = ${dialect}Table('sites', { id: text('id').primaryKey() })
`

/** Uses both in each way that an application does, on both dialects; nothing in node_modules is rewritten. */
export async function checkDrizzleKit(work: string, tarball: string): Promise<void> {
  const apps = new Map<Kit, string>()
  for (const [kit, version] of Object.entries(KITS)) apps.set(kit as Kit, await install(work, tarball, kit, version))
  const server = await startPostgres()
  try {
    for (const [kit, app] of apps) {
      const before = await digest(app)
      await check(`drizzle-kit ${kit} on SQLite`, () => uses(app, 'sqlite:./mesh.db'))
      await check(`drizzle-kit ${kit} makes a SQLite file for its owner alone`, async () => {
        equal((await stat(join(app, 'mesh.db'))).mode & 0o777, 0o600)
        await runs(app, 'sqlite:./mesh.db', meshstore('check'))
      })
      await createDatabase(server.url('postgres'), `kit-${kit}`)
      await check(`drizzle-kit ${kit} on PostgreSQL`, () => uses(app, server.url(`kit-${kit}`)))
      await check(`drizzle-kit ${kit} rewrites nothing in the package`, async () =>
        deepEqual(await digest(app), before),
      )
    }
    const [older = '', newer = ''] = apps.values()
    await check('a database that drizzle-kit 0.31 migrated is left as it is by 1.0', async () => {
      const urls = [`sqlite:${join(work, 'both.db')}`, server.url('postgres')]
      for (const url of urls) {
        await runs(older, url, kitCommand('migrate'))
        await runs(newer, url, kitCommand('migrate'))
        await runs(older, url, meshstore('migrate', 'status'))
      }
    })
  } finally {
    await server.stop()
  }
}

async function createDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(`CREATE DATABASE "${name}"`)
  } finally {
    await client.end()
  }
}

async function install(work: string, tarball: string, kit: string, version: string): Promise<string> {
  const app = join(work, `kit-${kit}`)
  await mkdir(app)
  await writeJson(join(app, 'package.json'), { name: 'app', private: true, type: 'module' })
  await npm(app, ['install', tarball, `drizzle-kit@${version}`])
  await writeFile(join(app, 'drizzle.config.ts'), "export { default } from 'meshstore/drizzle-config'\n")
  await writeFile(join(app, 'own.config.ts'), OWN_CONFIG)
  await writeFile(join(app, 'own-sqlite.ts'), ownSchema('sqlite'))
  await writeFile(join(app, 'own-postgres.ts'), ownSchema('pg'))
  return app
}

type Args = readonly string[]
const KIT = join('node_modules', 'drizzle-kit', 'bin.cjs')
const kitCommand = (...args: Args): Args => [KIT, ...args]
const meshstore = (...args: Args): Args => [COMMAND, ...args]

const run = (app: string, database: string, args: Args): Promise<Result> =>
  command(process.execPath, args, {
    cwd: app,
    env: {
      DATABASE_URL: database,
      NO_COLOR: '1',
      PATH: [dirname(process.execPath), process.env.PATH ?? ''].join(delimiter),
    },
  })

async function runs(app: string, database: string, args: Args): Promise<string> {
  const { code, stdout, stderr } = await run(app, database, args)
  equal(code, 0, `${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

async function uses(app: string, database: string): Promise<void> {
  await runs(app, database, kitCommand('migrate'))
  await runs(app, database, kitCommand('check'))
  match(await runs(app, database, kitCommand('generate')), /No schema changes/)
  match(await runs(app, database, meshstore('migrate', 'status')), /The tables are as their migrations made them/)
  match(await runs(app, database, meshstore('migrate', 'up')), /Nothing was pending/)
  await runs(app, database, kitCommand('migrate'))

  await runs(app, database, kitCommand('generate', '--config', 'own.config.ts', '--name', 'sites'))
  await runs(app, database, kitCommand('migrate', '--config', 'own.config.ts'))
  const status = JSON.parse(await runs(app, database, meshstore('migrate', 'status', '--json')))
  deepEqual(
    { state: status.state, foreign: status.foreign, drift: status.drift },
    {
      state: 'current',
      foreign: [],
      drift: [],
    },
  )
  ok(status.others.includes('table sites'))

  for (const args of [['push'], ['pull'], ['up'], ['generate', '--custom', '--name', 'mine']]) {
    const { code, stdout, stderr } = await run(app, database, kitCommand(...args))
    equal(code, 1)
    match(`${stdout}${stderr}`, /meshstore: drizzle-kit [\w-]+: it would /)
  }
}

/** Every file of the package, by what is in it. */
async function digest(app: string): Promise<Readonly<Record<string, string>>> {
  const folder = join(app, 'node_modules', 'meshstore')
  const files = await filesIn(folder)
  const hashes = files.map(async (file) => [
    file,
    createHash('sha256')
      .update(await readFile(join(folder, file)))
      .digest('hex'),
  ])
  return Object.fromEntries(await Promise.all(hashes))
}
