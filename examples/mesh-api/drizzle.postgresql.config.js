export default {
  dialect: 'postgresql',
  schema: './src/tables/postgres.ts',
  out: './drizzle/postgresql',
  migrations: { table: '__app_migrations' },
}
