import type { PathKey } from '../src/index.ts'
import { nodeId } from './data.ts'
import { openStorage } from './library.ts'
import { RawStore } from './raw-store.ts'

const DESTINATIONS = 2_000

export const pathKey = (n: number): PathKey => ({
  source: nodeId(Math.floor(n / DESTINATIONS)),
  destination: nodeId(n % DESTINATIONS),
  k: 3,
})

/** A new file with a node and so many cached paths, of a path each, written as fast as SQLite can. */
export async function largeCache(path: string, entries: number): Promise<string> {
  const store = await openStorage(path)
  await store.nodes.create({ nodeId: nodeId(0), interfaces: ['wlan0'], protocols: ['batman-adv'] })
  await store.close()
  const raw = new RawStore(path, 'normal')
  const now = Date.now() / 1_000
  const batch = 200_000
  for (let first = 0; first < entries; first += batch) {
    const last = Math.min(first + batch, entries) - 1
    raw.raw.exec(`
      WITH RECURSIVE
        each (n) AS (SELECT ${first} UNION ALL SELECT n + 1 FROM each WHERE n < ${last}),
        ends (source, destination) AS (
          SELECT printf('node-%07d', n / ${DESTINATIONS}), printf('node-%07d', n % ${DESTINATIONS}) FROM each)
      INSERT INTO path_cache
      SELECT source || ':' || destination || ':3', source, destination, 3,
        json_object('source', source, 'destination', destination, 'primary', json_array(json_object(
          'nodes', json_array(source, 'node-0000001', 'node-0000002', destination), 'total_weight', 3.25))),
        ${now}, ${now + 86_400} + random() % 1000
      FROM ends`)
  }
  raw.raw.pragma('wal_checkpoint(TRUNCATE)')
  raw.close()
  return path
}
