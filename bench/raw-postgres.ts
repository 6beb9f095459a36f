/** `pg` by hand: the same tables, the plainest named statements and the same mapping of a row, with nothing around them. */
import pg from 'pg'
import type { MeshNode, NewMeshNode } from '../src/index.ts'

export interface NodeRow {
  node_id: string
  interfaces: string[]
  protocols: string[]
  started: boolean
  routes_discovered: number
  created_at: number
  updated_at: number
}

const timeOf = (seconds: number): Date => new Date(Math.round(seconds * 1000))
export const decodedNode = (row: NodeRow): MeshNode => ({
  nodeId: row.node_id,
  interfaces: row.interfaces,
  protocols: row.protocols,
  started: row.started,
  routesDiscovered: row.routes_discovered,
  createdAt: timeOf(row.created_at),
  updatedAt: timeOf(row.updated_at),
})
const now = (): number => Date.now() / 1000

export function valuesOf({ nodeId, interfaces, protocols, started, routesDiscovered }: NewMeshNode): unknown[] {
  const time = now()
  const lists = [JSON.stringify(interfaces), JSON.stringify(protocols)]
  return [nodeId, ...lists, started ?? false, routesDiscovered ?? 0, time, time]
}

export const NODE_OF = { name: 'node', text: 'SELECT * FROM nodes WHERE node_id = $1' }
const INSERT = { name: 'insert', text: 'INSERT INTO nodes VALUES ($1, $2, $3, $4, $5, $6, $7)' }
const START = {
  name: 'start',
  text: 'UPDATE nodes SET started = $1, updated_at = $2 WHERE node_id = $3 RETURNING *',
}
const INSERT_MANY = {
  name: 'insert-many',
  text: `INSERT INTO nodes SELECT * FROM unnest($1::text[], $2::jsonb[], $3::jsonb[], $4::boolean[], $5::integer[],
         $6::double precision[], $7::double precision[])`,
}

/** A pool on a database that the library has made. Every call is a commit of its own. */
export class RawPostgres {
  readonly pool: pg.Pool

  constructor(connectionString: string, max: number) {
    this.pool = new pg.Pool({ connectionString, max, options: '-c default_transaction_isolation=serializable' })
    // A connection that the server ends while it is being closed: without a listener that ends the process.
    this.pool.on('error', () => {})
  }

  async node(nodeId: string): Promise<MeshNode | undefined> {
    const { rows } = await this.pool.query<NodeRow>({ ...NODE_OF, values: [nodeId] })
    return rows[0] && decodedNode(rows[0])
  }

  async createNode(node: NewMeshNode): Promise<void> {
    await this.pool.query({ ...INSERT, values: valuesOf(node) })
  }

  async startNode(nodeId: string, started: boolean): Promise<MeshNode | undefined> {
    const { rows } = await this.pool.query<NodeRow>({ ...START, values: [started, now(), nodeId] })
    return rows[0] && decodedNode(rows[0])
  }

  /** All of them in one statement, made by hand. */
  async createNodes(nodes: readonly NewMeshNode[]): Promise<void> {
    const rows = nodes.map(valuesOf)
    const lists = Array.from({ length: rows[0]?.length ?? 0 }, (_, column) => rows.map((row) => row[column]))
    await this.pool.query({ ...INSERT_MANY, values: lists })
  }

  /** Runs SQL that is not measured. */
  async execute(sql: string): Promise<void> {
    await this.pool.query(sql)
  }

  close(): Promise<void> {
    return this.pool.end()
  }
}
