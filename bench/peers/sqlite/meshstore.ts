import { openStorage } from '../../library.ts'
import type { SqlitePeerModule } from '../../peer.ts'

export const open: SqlitePeerModule['open'] = async (url, durability) => {
  const store = await openStorage({ url, durability })
  const { nodes } = store
  return {
    get: (nodeId) => nodes.get(nodeId),
    getMany: (nodeIds) => nodes.getMany(nodeIds),
    list: (after, limit) => nodes.list(after === '' ? { limit } : { after, limit }),
    insert: (node) => nodes.create(node),
    update: (nodeId, started) => nodes.update(nodeId, { started }),
    upsert: (node) => nodes.save(node),
    delete: (nodeId) => nodes.delete(nodeId),
    insertMany: (many) => nodes.createMany(many),
    iterate: () => nodes.iterate(),
    close: () => store.close(),
  }
}
