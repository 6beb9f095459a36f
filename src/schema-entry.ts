/**
 * `meshstore/schema`: the tables, for your own queries.
 *
 * @module meshstore/schema
 */
export * as postgres from './schema/postgres.ts'
export * as sqlite from './schema/sqlite.ts'
