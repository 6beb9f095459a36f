/** `meshstore/schema`: the tables, for those who write their own queries. */
export * as postgres from './schema/postgres.ts'
export * as sqlite from './schema/sqlite.ts'
