/**
 * `pg` by hand, with the methods that the operations of `builds.ts` call: the plainest named statements, each a transaction of its
 * own on a pool of connections. Rows are decoded before COMMIT where `decodes` says so, as the library does.
 */
import pg from 'pg'
import type { Meshstore, NewMeshNode, PathBundle, PathKey } from '../src/index.ts'
import { decodedNode, NODE_OF, type NodeRow, valuesOf } from './raw-postgres.ts'

const UPDATE_TIME = 'updated_at = greatest($2, nodes.updated_at + 0.001)'
const CREATE = 'INSERT INTO nodes VALUES ($1, $2, $3, $4, $5, $6, $7)'
const SQL = {
  create: CREATE,
  save: `${CREATE} ON CONFLICT (node_id) DO UPDATE SET interfaces = excluded.interfaces, protocols = excluded.protocols,
    started = excluded.started, routes_discovered = excluded.routes_discovered,
    updated_at = greatest(excluded.updated_at, nodes.updated_at + 0.001) RETURNING *`,
  update: `UPDATE nodes SET routes_discovered = $3, ${UPDATE_TIME} WHERE node_id = $1 RETURNING *`,
  topology: `UPDATE nodes SET interfaces = $3, ${UPDATE_TIME} WHERE node_id = $1 RETURNING *`,
  record: `UPDATE nodes SET routes_discovered = routes_discovered + 1, ${UPDATE_TIME} WHERE node_id = $1 RETURNING *`,
  delete: 'DELETE FROM nodes WHERE node_id = $1',
  set: `INSERT INTO path_cache VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (cache_key) DO UPDATE
    SET bundle_json = excluded.bundle_json, created_at = excluded.created_at, expires_at = excluded.expires_at`,
} as const

const now = (): number => Date.now() / 1_000

export class ByHand {
  readonly #pool: pg.Pool
  readonly #decodes: boolean

  constructor(url: string, { decodes }: { decodes: boolean }) {
    this.#decodes = decodes
    this.#pool = new pg.Pool({
      connectionString: url,
      max: 8,
      options: '-c default_transaction_isolation=serializable',
    })
    this.#pool.on('error', () => {})
  }

  /** Again after each serialization failure, as every application that uses SERIALIZABLE has to. */
  async #run(name: keyof typeof SQL, values: unknown[]): Promise<unknown> {
    for (;;) {
      try {
        return await this.#once(name, values)
      } catch (error) {
        if ((error as { code?: string }).code !== '40001') throw error
      }
    }
  }

  async #once(name: keyof typeof SQL, values: unknown[]): Promise<unknown> {
    const query = { name, text: SQL[name], values }
    if (!this.#decodes || !SQL[name].endsWith('RETURNING *')) {
      const { rows } = await this.#pool.query<NodeRow>(query)
      return rows[0] && decodedNode(rows[0])
    }
    const client = await this.#pool.connect()
    try {
      await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
      const { rows } = await client.query<NodeRow>(query)
      const node = rows[0] && decodedNode(rows[0])
      await client.query('COMMIT')
      client.release()
      return node
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  readonly nodes = {
    get: async (id: string) => {
      const { rows } = await this.#pool.query<NodeRow>({ ...NODE_OF, values: [id] })
      return rows[0] && decodedNode(rows[0])
    },
    create: (node: NewMeshNode) => this.#run('create', valuesOf(node)),
    createMany: (nodes: readonly NewMeshNode[]) => Promise.all(nodes.map((node) => this.nodes.create(node))),
    save: (node: NewMeshNode) => this.#run('save', valuesOf(node)),
    update: (id: string, { interfaces, routesDiscovered }: Partial<NewMeshNode>) =>
      interfaces === undefined
        ? this.#run('update', [id, now(), routesDiscovered])
        : this.#run('topology', [id, now(), JSON.stringify(interfaces)]),
    recordRoutes: (id: string) => this.#run('record', [id, now()]),
    delete: (id: string) => this.#run('delete', [id]),
  }

  readonly pathCache = {
    set: ({ source, destination, k = 3 }: PathKey, bundle: PathBundle, { ttlSeconds }: { ttlSeconds: number }) =>
      this.#run('set', [
        JSON.stringify([source, destination, k]),
        source,
        destination,
        k,
        JSON.stringify(bundle),
        now(),
        now() + ttlSeconds,
      ]),
  }

  close(): Promise<void> {
    return this.#pool.end()
  }
}

/** For the operations that name none of the other methods. */
export const byHand = (url: string, options: { decodes: boolean }): Meshstore =>
  new ByHand(url, options) as unknown as Meshstore
