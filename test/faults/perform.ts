import { type Meshstore, type Repositories, StorageError } from '../../src/index.ts'
import { type Operation, SHARED } from './lane.ts'

class RolledBack extends Error {}

/** One operation on a store. Resolves when the store has acknowledged it, or refused what must be refused. */
export async function perform(store: Meshstore, lane: number, operation: Operation): Promise<void> {
  switch (operation.kind) {
    case 'transaction':
      return store.transaction(async (tx) => {
        for (const each of operation.operations) await write(tx, lane, each)
        await tx.nodes.recordRoutes(SHARED)
      })
    case 'rolledBack': {
      const failed = await failureOf(
        store.transaction(async (tx) => {
          for (const each of operation.operations) await write(tx, lane, each)
          await tx.nodes.recordRoutes(SHARED)
          throw new RolledBack()
        }),
      )
      if (!(failed instanceof RolledBack))
        throw new Error('A transaction that throws was not rejected.', { cause: failed })
      return
    }
    case 'refused': {
      const failed = await failureOf(write(store, lane, operation.operation))
      if (!(failed instanceof StorageError) || failed.code !== 'ALREADY_EXISTS') {
        throw new Error('A write was not refused.', { cause: failed })
      }
      return
    }
    default:
      return write(store, lane, operation)
  }
}

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

async function write({ nodes, policies, pathCache }: Repositories, lane: number, operation: Operation): Promise<void> {
  switch (operation.kind) {
    case 'create':
      await nodes.create(operation.node)
      break
    case 'save':
      await nodes.save(operation.node)
      break
    case 'createMany':
      await nodes.createMany(operation.nodes)
      break
    case 'saveMany':
      await nodes.saveMany(operation.nodes)
      break
    case 'update':
      await nodes.update(operation.nodeId, operation.patch)
      break
    case 'recordRoutes':
      await nodes.recordRoutes(operation.nodeId, operation.discovered)
      break
    case 'delete':
      if (!(await nodes.delete(operation.nodeId))) throw new Error('What was there could not be deleted.')
      break
    case 'policy':
      await policies.save({ policyId: operation.policyId, yamlContent: operation.yamlContent })
      break
    case 'path':
      await setPath(pathCache, String(lane), operation)
      break
    default:
      throw new Error(`${operation.kind} is no single write.`)
  }
}

async function setPath(
  pathCache: Repositories['pathCache'],
  source: string,
  { destination, weight }: { destination: string; weight: number },
): Promise<void> {
  const bundle = { source, destination, primary: [{ nodes: [source, destination], total_weight: weight }] }
  await pathCache.set({ source, destination, k: 1 }, bundle, { ttlSeconds: 86_400 })
}
