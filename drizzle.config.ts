import { defineConfig } from 'drizzle-kit'

/**
 * One configuration for both dialects: `DATABASE_URL` chooses dialect, schema and folder. A SQLite file by default.
 */
const url = process.env.DATABASE_URL ?? 'sqlite:./mesh.db'
const postgresql = /^postgres(ql)?:/.test(url)

export default postgresql
  ? defineConfig({
      dialect: 'postgresql',
      schema: './src/schema/postgres.ts',
      out: './migrations/postgresql',
      dbCredentials: { url },
    })
  : defineConfig({
      dialect: 'sqlite',
      schema: './src/schema/sqlite.ts',
      out: './migrations/sqlite',
      dbCredentials: { url: url.replace(/^(sqlite|file):(\/\/(?=\/))?/, '') },
    })
