export default {
  dialect: 'sqlite',
  schema: './src/tables/sqlite.ts',
  out: './drizzle/sqlite',
  migrations: { table: '__app_migrations' },
}
