/**
 * drizzle-kit's configuration, made from `DATABASE_URL`. An application that has this package installed needs a
 * `drizzle.config.ts` of one line, and `npx drizzle-kit migrate` brings its database up to date:
 *
 *     export { default } from 'meshstore/drizzle-config'
 */
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { databaseOf } from './config.ts'

/** What drizzle-kit's `defineConfig` takes. */
export interface DrizzleConfig {
  dialect: 'sqlite' | 'postgresql'
  /** The file that defines the tables. */
  schema: string
  /** The folder of the migrations. */
  out: string
  dbCredentials: { url: string }
}

/** From a URL such as `openStorage` takes. Throws CONFIG. */
export function drizzleConfig(url = process.env.DATABASE_URL || 'sqlite:./mesh.db'): DrizzleConfig {
  const database = databaseOf(url)
  return database.dialect === 'sqlite'
    ? { dialect: 'sqlite', ...folders('sqlite', 'sqlite'), dbCredentials: { url: database.path } }
    : { dialect: 'postgresql', ...folders('postgresql', 'postgres'), dbCredentials: { url } }
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

export default drizzleConfig()
