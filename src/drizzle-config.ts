/**
 * drizzle-kit's configuration, made from `DATABASE_URL`. An application that has this package installed needs a
 * `drizzle.config.ts` of one line, and `npx drizzle-kit migrate` brings its database up to date:
 *
 *     export { default } from 'meshstore/drizzle-config'
 */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What drizzle-kit's `defineConfig` takes. */
export interface DrizzleConfig {
  dialect: 'sqlite' | 'postgresql'
  /** The file that defines the tables. */
  schema: string
  /** The folder of the migrations. */
  out: string
  dbCredentials: { url: string }
}

/** From a URL such as `openStorage` takes: `sqlite:`, `file:` or a path, `postgres://` or `postgresql://`. Others throw. */
export function drizzleConfig(url = process.env.DATABASE_URL || 'sqlite:./mesh.db'): DrizzleConfig {
  return /^postgres(ql)?:/i.test(url)
    ? { dialect: 'postgresql', ...folders('postgresql', 'postgres'), dbCredentials: { url } }
    : { dialect: 'sqlite', ...folders('sqlite', 'sqlite'), dbCredentials: { url: sqliteFile(url) } }
}

function folders(dialect: string, schema: string): { schema: string; out: string } {
  const built = import.meta.url.endsWith('.js')
  return {
    schema: pathOf(built ? `./schema-${schema}.js` : `./schema/${schema}.ts`),
    // drizzle-kit's generate and check put ./ before it: an absolute path is not found.
    out: relative('', pathOf(`../migrations/${dialect}`)),
  }
}

const pathOf = (url: string): string => fileURLToPath(new URL(url, import.meta.url))

/** As config.ts reads it, which is not imported: it would bring all that opens a database. A test compares the two. */
function sqliteFile(url: string): string {
  const path = pathIn(url)
  // As config.ts does: quotes that became part of the variable would make a new file, and serve.
  if (/^["']|["']$|:\/\/|\/\/[^/]*@/.test(path))
    throw new Error('DATABASE_URL looks like a URL, or like one in quotes.')
  return path
}

function pathIn(url: string): string {
  // Two letters and more: the C: of a Windows path is no scheme.
  const [prefix, scheme] = /^([a-z][a-z0-9+.-]+):/i.exec(url) ?? ['']
  const rest = url.slice(prefix.length)
  // No message repeats the URL, which may hold a password.
  if (rest.includes('?')) throw new Error('DATABASE_URL must not have parameters.')
  switch (scheme?.toLowerCase()) {
    case undefined:
      return url
    case 'sqlite':
      if (/^\/\/(?!\/)/.test(rest)) throw new Error('DATABASE_URL: use sqlite:./relative.db or sqlite:/absolute.db.')
      return rest.replace(/^\/\//, '')
    case 'file':
      return rest.startsWith('/') ? fileURLToPath(url) : rest
    default:
      throw new Error(`DATABASE_URL begins with ${prefix} and should with sqlite:, file: or postgres:.`)
  }
}

/** drizzle-kit does not know of triggers: `push` would build our tables anew without them, and stop halfway. */
function refusePush([, script = '', ...args]: readonly string[]): void {
  const command = args.find((arg) => !arg.startsWith('-'))
  if (!script.includes('drizzle-kit') || command !== 'push') return
  throw new Error(
    'meshstore: drizzle-kit push would drop the triggers of the tables. Nothing was changed. Run drizzle-kit migrate or meshstore migrate up.',
  )
}

refusePush(process.argv)
export default drizzleConfig()
