import { openStorage } from '../../library.ts'
import type { PostgresPeerModule } from '../../peer.ts'

export const open: PostgresPeerModule['open'] = async (url, max) => {
  const store = await openStorage({ url, pool: { max } })
  const { nodes } = store
  return {
    get: (nodeId) => nodes.get(nodeId),
    getMany: (nodeIds) => nodes.getMany(nodeIds),
    list: (after, limit) => nodes.list({ after, limit }),
    insert: (node) => nodes.create(node),
    update: (nodeId, started) => nodes.update(nodeId, { started }),
    upsert: (node) => nodes.save(node),
    delete: (nodeId) => nodes.delete(nodeId),
    close: () => store.close(),
  }
}
