/** A few hot rows as numbers, for clients of every kind: the library's, and one that does it wrong. */
import type pg from 'pg'
import type { Meshstore, Repositories } from '../../../src/index.ts'
import { node } from '../../support/samples.ts'

export interface Cell {
  readonly value: number
  /** Each time it is set, it is larger. */
  readonly order: number
}

export interface Cells {
  get(id: string): Promise<Cell>
  /** All of them, in one statement. */
  all(): Promise<ReadonlyMap<string, Cell>>
  set(id: string, value: number): Promise<Cell>
  /** In one statement, and without moving `order`. */
  add(id: string, by: number): Promise<void>
}

export interface Client extends Cells {
  transaction<T>(work: (cells: Cells) => Promise<T>, options?: { readOnly: boolean }): Promise<T>
}

export const IDS = ['a', 'b', 'c', 'd']
/** A row that is only ever added to. */
export const COUNTER = 'counter'

/** Long enough for every transaction, however often others are in its way. */
const PATIENCE = { timeoutMs: 60_000 }

export async function createCells(store: Meshstore, value: number): Promise<void> {
  await store.nodes.createMany([...IDS, COUNTER].map((id) => node(id, { routesDiscovered: value })))
}

interface Row {
  readonly nodeId: string
  readonly routesDiscovered: number
  readonly updatedAt: Date
}
const cell = ({ routesDiscovered, updatedAt }: Row): Cell => ({ value: routesDiscovered, order: updatedAt.getTime() })
const cells = (rows: readonly Row[]): ReadonlyMap<string, Cell> => new Map(rows.map((row) => [row.nodeId, cell(row)]))

function present<T>(found: T | undefined): T {
  if (found === undefined) throw new Error('A row is missing.')
  return found
}

const cellsOf = ({ nodes }: Repositories): Cells => ({
  get: async (id) => cell(present(await nodes.get(id))),
  all: async () => cells(await nodes.list()),
  set: async (id, value) => cell(await nodes.update(id, { routesDiscovered: value })),
  add: async (id, by) => void (await nodes.recordRoutes(id, by)),
})

export const clientOf = (store: Meshstore): Client => ({
  ...cellsOf(store),
  transaction: (work, options) => store.transaction((tx) => work(cellsOf(tx)), { ...PATIENCE, ...options }),
})

const COLUMNS = 'node_id AS "nodeId", routes_discovered AS "routesDiscovered", updated_at AS seconds'
const NEXT = 'updated_at = (floor(updated_at * 1000 + 0.5) + 1) / 1000.0'

/** Somebody has to give way: after `lock_timeout`, since a deadlock is looked for only once a second. */
const IN_THE_WAY: ReadonlySet<unknown> = new Set(['40P01', '55P03'])

/** The same with plain SQL in READ COMMITTED, as PostgreSQL does it unless it is told otherwise. */
export function readCommitted(client: pg.Client): Client {
  const ask = async (sql: string, ...values: unknown[]): Promise<Row[]> => {
    const { rows } = await client.query(sql, values)
    return rows.map(({ seconds, ...row }) => ({ ...row, updatedAt: new Date(Math.round(seconds * 1_000)) }))
  }
  const one = async (sql: string, ...values: unknown[]): Promise<Cell> => cell(present((await ask(sql, ...values))[0]))
  const plain: Cells = {
    get: (id) => one(`SELECT ${COLUMNS} FROM nodes WHERE node_id = $1`, id),
    all: async () => cells(await ask(`SELECT ${COLUMNS} FROM nodes`)),
    set: (id, value) =>
      one(`UPDATE nodes SET routes_discovered = $2, ${NEXT} WHERE node_id = $1 RETURNING ${COLUMNS}`, id, value),
    add: async (id, by) =>
      void (await ask('UPDATE nodes SET routes_discovered = routes_discovered + $2 WHERE node_id = $1', id, by)),
  }
  const transaction = async <T>(work: (cells: Cells) => Promise<T>): Promise<T> => {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = 20')
    try {
      const result = await work(plain)
      await client.query('COMMIT')
      return result
    } catch (error) {
      await client.query('ROLLBACK')
      if (error instanceof Error && 'code' in error && IN_THE_WAY.has(error.code)) return transaction(work)
      throw error
    }
  }
  return { ...plain, transaction }
}
