/** The names of all tables that the migrations make, also those of the library's own. */
import { getTableName } from 'drizzle-orm'
import * as tables from '../../schema/postgres.ts'

export const OUR_TABLES: readonly string[] = Object.values(tables).map((table) => getTableName(table))
