/**
 * `meshstore/tables/postgres`: what an application writes its tables for PostgreSQL with. Its twin is `meshstore/tables/sqlite`.
 *
 * @module meshstore/tables/postgres
 */
import './node-version.ts'
import { ForeignKey, Index, PrimaryKey, UniqueConstraint } from 'drizzle-orm/pg-core'
import { tellGivenNames } from './tables/given-names.ts'

export { sql } from 'drizzle-orm'
export { check, foreignKey, index, pgTable, unique, uniqueIndex } from 'drizzle-orm/pg-core'
export { boolean, integer, json, list, real, text, time } from './schema/columns-postgres.ts'
/** The library's tables, for foreign keys. Do not export them from the schema that drizzle-kit reads. */
export { nodes, policies } from './schema/postgres.ts'

tellGivenNames({ ForeignKey, Index, PrimaryKey, UniqueConstraint })
