/**
 * `meshstore/tables`: an application's own tables.
 *
 * @module meshstore/tables
 */
import './node-version.ts'

export { type DefinedTable, type Schema, schema, type TableOptions, table } from './tables/define.ts'
