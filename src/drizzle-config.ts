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

/** `sqlite:` and `file:` URLs and paths are SQLite, `postgres://` and `postgresql://` PostgreSQL. Others throw. */
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

function sqliteFile(url: string): string {
  // Two letters and more: the C: of a Windows path is no scheme.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1]
  switch (scheme?.toLowerCase()) {
    case undefined:
      return url
    case 'sqlite':
      return url.slice('sqlite:'.length).replace(/^\/\//, '')
    case 'file':
      return url.slice('file:'.length).startsWith('//') ? fileURLToPath(url) : url.slice('file:'.length)
    default:
      // Without the rest of the URL, which may hold a password.
      throw new Error(`DATABASE_URL begins with ${scheme}: and should with sqlite:, file: or postgres:.`)
  }
}

export default drizzleConfig()
