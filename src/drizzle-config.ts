/**
 * drizzle-kit's configuration, made from `DATABASE_URL`. An application that has this package installed needs a
 * `drizzle.config.ts` of one line, and `npx drizzle-kit migrate` brings its database up to date:
 *
 *     export { default } from 'meshstore/drizzle-config'
 */
import { closeSync, openSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The configuration that drizzle-kit's `defineConfig` takes. */
export interface DrizzleConfig {
  dialect: 'sqlite' | 'postgresql'
  /** The file that defines the tables. */
  schema: string
  /** The folder of the migrations. */
  out: string
  dbCredentials: { url: string }
}

/** Takes the same URLs as `openStorage`: `sqlite:`, `file:` or a path, `postgres://` or `postgresql://`. Throws for other ones. */
export function drizzleConfig(url = process.env.DATABASE_URL || 'sqlite:./mesh.db'): DrizzleConfig {
  return /^postgres(ql)?:/i.test(url)
    ? { dialect: 'postgresql', ...folders('postgresql', 'postgres'), dbCredentials: { url } }
    : { dialect: 'sqlite', ...folders('sqlite', 'sqlite'), dbCredentials: { url: sqliteFile(url) } }
}

function folders(dialect: string, schema: string): { schema: string; out: string } {
  const built = import.meta.url.endsWith('.js')
  const kit1 = built && isKit1()
  const file = kit1 ? `./drizzle-kit-1/schema-${schema}.cjs` : `./schema-${schema}.js`
  return {
    schema: pathOf(built ? file : `./schema/${schema}.ts`),
    // drizzle-kit's generate and check put ./ before the path, so that an absolute path would not be found.
    out: relative('', pathOf(kit1 ? `./drizzle-kit-1/${dialect}` : `../migrations/${dialect}`)),
  }
}

const pathOf = (url: string): string => fileURLToPath(new URL(url, import.meta.url))

/** Repeats a part of config.ts, whose import would load the drivers. A test compares the two. */
function sqliteFile(url: string): string {
  const path = pathIn(url)
  // As in config.ts: quotes in the variable must not create a new file, which would then serve.
  if (/^["']|["']$|:\/\/|\/\/[^/]*@/.test(path))
    throw new Error('DATABASE_URL looks like a URL, or like one in quotes. Give sqlite:<path>, file: or postgres://.')
  return path
}

function pathIn(url: string): string {
  // A scheme has at least two letters: the C: of a Windows path is none.
  const [prefix, scheme] = /^([a-z][a-z0-9+.-]+):/i.exec(url) ?? ['']
  const rest = url.slice(prefix.length)
  // No message repeats the URL, which may hold a password.
  if (rest.includes('?')) throw new Error('DATABASE_URL must not have parameters. Remove them.')
  switch (scheme?.toLowerCase()) {
    case undefined:
      return url
    case 'sqlite':
      if (/^\/\/(?!\/)/.test(rest)) throw new Error('DATABASE_URL: use sqlite:./relative.db or sqlite:/absolute.db.')
      return rest.replace(/^\/\//, '')
    case 'file':
      return rest.startsWith('/') ? fileURLToPath(url) : rest
    default:
      throw new Error(`DATABASE_URL begins with ${prefix}. Give one that begins with sqlite:, file: or postgres:.`)
  }
}

interface Manifest {
  readonly name?: string
  readonly version?: string
}

/** drizzle-kit 1.0 reads another form of migrations than 0.31. */
const isKit1 = (): boolean => Number.parseInt((kitThatRuns() ?? kitInstalled())?.version ?? '0', 10) >= 1

/** The drizzle-kit whose program this process is. */
function kitThatRuns(): Manifest | undefined {
  const [, script = ''] = process.argv
  try {
    return kitIn(dirname(realpathSync(script)))
  } catch {
    return undefined
  }
}

/** The drizzle-kit that the working folder finds, where another program calls it. */
function kitInstalled(folder = process.cwd()): Manifest | undefined {
  const found = kitIn(join(folder, 'node_modules', 'drizzle-kit'))
  return found ?? (dirname(folder) === folder ? undefined : kitInstalled(dirname(folder)))
}

function kitIn(folder: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
    return manifest.name === 'drizzle-kit' ? manifest : undefined
  } catch {
    return undefined
  }
}

const INSTEAD = 'Run drizzle-kit migrate or meshstore migrate up.'
const OWN = "Use a drizzle.config.ts of the application's own for it, with `migrations: { table: '__app_migrations' }`."

/** Refused commands, which would change the package's files, with the reason. */
const REFUSED: Readonly<Record<string, string>> = {
  push: `would drop the triggers of the tables. Nothing was changed. ${INSTEAD}`,
  pull: `would write into the package. ${OWN}`,
  introspect: `would write into the package. ${OWN}`,
  drop: `would delete a migration of the package. ${OWN}`,
  up: `would write the migrations of the package anew. The package has them for drizzle-kit 1.0 too. ${INSTEAD}`,
  // An option of generate.
  '--custom': `would write into the package. ${OWN}`,
}

/** drizzle-kit prints the message and exits with 1. */
function refuse(args: readonly string[]): void {
  const command = args.map((arg) => arg.replace(/=true$/, '')).find((arg) => Object.hasOwn(REFUSED, arg))
  if (command !== undefined) throw new Error(`meshstore: drizzle-kit ${command}: it ${REFUSED[command]}`)
}

/** Creates the file with mode 0600, as the library does. drizzle-kit would use the umask. */
function createPrivately(path: string): void {
  if (path === ':memory:') return
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch {
    // Ignore the error: the file exists, or drizzle-kit reports why it cannot open it.
  }
}

const config = drizzleConfig()
if (kitThatRuns() !== undefined) {
  const args = process.argv.slice(2)
  refuse(args)
  if (args.includes('migrate') && config.dialect === 'sqlite') createPrivately(config.dbCredentials.url)
}
export default config
