/** Prisma 7 on its driver adapter for better-sqlite3, as its documentation shows it: no engine beside the process. */
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'
import type { MeshNode, NewMeshNode } from '../../../src/index.ts'
import type { SqlitePeerModule } from '../../peer.ts'
import { type Node, PrismaClient } from '../generated/client.ts'
import { byPages, complete, secondsOf, timeOf } from '../rows.ts'

const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])
const nodeOf = (row: Node): MeshNode => ({
  ...row,
  interfaces: strings(row.interfaces),
  protocols: strings(row.protocols),
  createdAt: timeOf(row.createdAt),
  updatedAt: timeOf(row.updatedAt),
})
function rowOf(node: NewMeshNode) {
  const { createdAt, updatedAt, ...rest } = complete(node)
  return { ...rest, createdAt: secondsOf(createdAt), updatedAt: secondsOf(updatedAt) }
}

export const open: SqlitePeerModule['open'] = async (file, durability) => {
  const prisma = new PrismaClient({ adapter: new PrismaBetterSqlite3({ url: `file:${file}` }) })
  const { node } = prisma
  await prisma.$queryRawUnsafe('PRAGMA journal_mode = wal')
  await prisma.$queryRawUnsafe(`PRAGMA synchronous = ${durability}`)
  const list = async (after: string, take: number): Promise<MeshNode[]> =>
    (await node.findMany({ where: { nodeId: { gt: after } }, orderBy: { nodeId: 'asc' }, take })).map(nodeOf)
  return {
    get: async (nodeId) => {
      const row = await node.findUnique({ where: { nodeId } })
      return row === null ? undefined : nodeOf(row)
    },
    getMany: async (ids) => (await node.findMany({ where: { nodeId: { in: [...ids] } } })).map(nodeOf),
    list,
    insert: async (values) => nodeOf(await node.create({ data: rowOf(values) })),
    update: async (nodeId, started) =>
      nodeOf(await node.update({ where: { nodeId }, data: { started, updatedAt: Date.now() / 1000 } })),
    upsert: async (values) => {
      const create = rowOf(values)
      const { nodeId, interfaces, protocols, updatedAt } = create
      return nodeOf(await node.upsert({ where: { nodeId }, create, update: { interfaces, protocols, updatedAt } }))
    },
    delete: async (nodeId) => nodeOf(await node.delete({ where: { nodeId } })),
    insertMany: async (many) => node.createMany({ data: many.map(rowOf) }),
    iterate: () => byPages(list),
    close: () => prisma.$disconnect(),
  }
}
