/** Exits with 1 when `DATABASE_URL` names a SQLite file that is not there: Studio would create an empty one. */
import { existsSync } from 'node:fs'
import { drizzleConfig } from '../src/drizzle-config.ts'

const { dialect, dbCredentials } = drizzleConfig()
if (dialect === 'sqlite' && !existsSync(dbCredentials.url)) {
  console.error(`There is no database at ${dbCredentials.url}.
Set DATABASE_URL to one that exists, fill one with npm run demo -- --db mesh.db, or create this one, empty, with
npx drizzle-kit migrate`)
  process.exitCode = 1
}
