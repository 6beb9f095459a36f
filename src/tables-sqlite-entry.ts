/**
 * `meshstore/tables/sqlite`: what an application writes its tables for SQLite with. Its twin is `meshstore/tables/postgres`.
 *
 * @module meshstore/tables/sqlite
 */
import './node-version.ts'
import { ForeignKey, Index, PrimaryKey, UniqueConstraint } from 'drizzle-orm/sqlite-core'
import { tellGivenNames } from './tables/given-names.ts'

export { sql } from 'drizzle-orm'
export { check, foreignKey, index, sqliteTable, unique, uniqueIndex } from 'drizzle-orm/sqlite-core'
export { boolean, integer, json, list, real, text, time } from './schema/columns-sqlite.ts'
/** The library's tables, for foreign keys. Do not export them from the schema that drizzle-kit reads. */
export { nodes, policies } from './schema/sqlite.ts'

tellGivenNames({ ForeignKey, Index, PrimaryKey, UniqueConstraint })
