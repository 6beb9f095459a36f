/** TypeORM's repository on better-sqlite3, as its documentation shows it. */
import { DataSource, EntitySchema, In, MoreThan } from 'typeorm'
import type { MeshNode } from '../../../src/index.ts'
import { type openDriver, Sqlite } from '../../driver.ts'
import type { SqlitePeerModule } from '../../peer.ts'
import { byPages, chunks, complete, secondsOf, timeOf } from '../rows.ts'

const time = { type: 'real', transformer: { to: secondsOf, from: timeOf } } as const

const nodes = new EntitySchema<MeshNode>({
  name: 'MeshNode',
  tableName: 'nodes',
  columns: {
    nodeId: { name: 'node_id', type: 'text', primary: true },
    interfaces: { type: 'simple-json' },
    protocols: { type: 'simple-json' },
    started: { type: 'boolean' },
    routesDiscovered: { name: 'routes_discovered', type: 'integer' },
    createdAt: { ...time, name: 'created_at' },
    updatedAt: { ...time, name: 'updated_at' },
  },
})

export const open: SqlitePeerModule['open'] = async (file, durability) => {
  const source = new DataSource({
    type: 'better-sqlite3',
    database: file,
    driver: Sqlite,
    enableWAL: true,
    prepareDatabase: (database: ReturnType<typeof openDriver>) => {
      database.pragma(`synchronous = ${durability}`)
    },
    entities: [nodes],
  })
  await source.initialize()
  const repository = source.getRepository(nodes)
  const list = (after: string, take: number) =>
    repository.find({ where: { nodeId: MoreThan(after) }, order: { nodeId: 'ASC' }, take })
  return {
    get: async (nodeId) => (await repository.findOneBy({ nodeId })) ?? undefined,
    getMany: (ids) => repository.findBy({ nodeId: In([...ids]) }),
    list,
    insert: (node) => repository.insert(complete(node)),
    update: (nodeId, started) => repository.update({ nodeId }, { started, updatedAt: new Date() }),
    upsert: (node) => repository.upsert(complete(node), ['nodeId']),
    delete: (nodeId) => repository.delete({ nodeId }),
    insertMany: (many) =>
      source.transaction(async (manager) => {
        for (const chunk of chunks(many)) await manager.insert(nodes, chunk.map(complete))
      }),
    iterate: () => byPages(list),
    close: () => source.destroy(),
  }
}
