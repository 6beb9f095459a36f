import { type Meshstore, openStorage, type StorageOptions } from '../../../src/index.ts'
import { node } from '../../support/samples.ts'

/** Open, with a node `first` in it: everything is loaded that is loaded at the first write. */
export async function opened(path: string, options: Omit<StorageOptions, 'url'> = {}): Promise<Meshstore> {
  const store = await openStorage({ url: path, ...options })
  await store.nodes.create(node('first'))
  return store
}
