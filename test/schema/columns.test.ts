import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { getTableColumns, getTableName } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import * as postgres from '../../src/schema/postgres.ts'
import * as sqlite from '../../src/schema/sqlite.ts'
import { root } from './tree-copy.ts'

/** The DDL that other programs wrote their files with, and insert into by position. */
const clients = {
  nodes: {
    node_id: 'text',
    interfaces: 'text',
    protocols: 'text',
    started: 'integer',
    routes_discovered: 'integer',
    created_at: 'real',
    updated_at: 'real',
  },
  policies: { policy_id: 'text', yaml_content: 'text', rules_count: 'integer', created_at: 'real', updated_at: 'real' },
  path_cache: {
    cache_key: 'text',
    source: 'text',
    destination: 'text',
    k: 'integer',
    bundle_json: 'text',
    created_at: 'real',
    expires_at: 'real',
  },
}
const rows = {
  nodes: ['gw-1', '["eth0"]', '["batman-adv"]', 1, 7, 1.5, 2.5],
  policies: ['default', 'rules: []', 0, 1.5, 2.5],
  path_cache: ['a:b:3', 'a', 'b', 3, '{}', 1.5, 2.5],
}

const db = new Database(':memory:')
db.exec(readFileSync(join(root, 'drizzle/sqlite.sql'), 'utf8'))

describe.each(['nodes', 'policies', 'path_cache'] as const)('the table %s', (table) => {
  it('has exactly the columns that the client gave, in this order', () => {
    const columns = db.prepare<[], { name: string; type: string }>(`PRAGMA table_xinfo(${table})`).all()
    expect(columns.map(({ name, type }) => [name, type.toLowerCase()])).toEqual(Object.entries(clients[table]))
  })

  it('takes a row by position', () => {
    const row = rows[table]
    db.prepare(`INSERT INTO ${table} VALUES (${row.map(() => '?')})`).run(row)
    expect(db.prepare(`SELECT * FROM ${table}`).raw().get()).toEqual(row)
  })

  it.each([
    ['sqlite', sqlite],
    ['postgres', postgres],
  ] as const)('has these columns in %s.ts, and none may be null', (_, { nodes, policies, pathCache }) => {
    const twin = [nodes, policies, pathCache].find((candidate) => getTableName(candidate) === table)
    const columns = Object.values(getTableColumns(twin ?? nodes))
    expect(columns.map(({ name }) => name)).toEqual(Object.keys(clients[table]))
    expect(columns.filter(({ notNull }) => !notNull)).toEqual([])
  })
})

describe('the twins', () => {
  it('define the same tables and columns, but for what tells on PostgreSQL who saw what', () => {
    expect(Object.keys(sqlite)).toEqual(Object.keys(postgres))
    expect(Object.entries(sqlite).map(shape)).toEqual(Object.entries(postgres).map(shape))
  })
})

const POSTGRES_ALONE: readonly string[] = [
  'invalidations.transaction',
  'seenPositions.transaction',
  'seenPositions.snapshot',
  'changes.transaction',
]

function shape([key, table]: [string, Parameters<typeof getTableName>[0]]) {
  const columns = Object.entries(getTableColumns(table)).map(([property, { name, notNull, primary, hasDefault }]) => ({
    property,
    name,
    notNull,
    primary,
    hasDefault,
  }))
  const shared = columns.filter(({ property }) => !POSTGRES_ALONE.includes(`${key}.${property}`))
  return { key, name: getTableName(table), columns: shared }
}
