/** Two own tables with foreign keys between them and `nodes`. */
import { schema, table } from '../../../src/tables-entry.ts'
import * as postgres from './postgres.ts'
import * as sqlite from './sqlite.ts'

export const links = table({
  sqlite: sqlite.links,
  postgres: postgres.links,
  key: 'linkId',
  rules: { cost: (cost) => (cost < 1_000 ? undefined : 'must be below 1000') },
  invalidates: { through: ['source', 'target'], columns: ['source', 'target', 'cost', 'isUp'] },
})
export const sites = table({ sqlite: sqlite.sites, postgres: postgres.sites, key: 'siteId' })

export const app = schema({ links, sites })
/** The folder of the migrations. */
export const migrations = `${import.meta.dirname}/drizzle`
