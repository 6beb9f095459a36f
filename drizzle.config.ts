/** `DATABASE_URL` chooses dialect, schema and folder. A SQLite file, ./mesh.db, by default. */
export { default } from './src/drizzle-config.ts'
