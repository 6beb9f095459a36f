/** The official client, as its documentation shows it: what is asked for in the same moment goes out together. */
import { createClient } from 'redis'
import { TTL_SECONDS, textKey } from '../../cache-data.ts'
import type { CachePeerModule } from '../../peer.ts'

export const open: CachePeerModule['open'] = async (port) => {
  const client = createClient({ url: `redis://127.0.0.1:${port}` })
  client.on('error', () => {})
  await client.connect()
  return {
    get: async (key) => {
      const text = await client.get(textKey(key))
      return text === null ? undefined : JSON.parse(text)
    },
    set: (key, bundle) =>
      client.set(textKey(key), JSON.stringify(bundle), { expiration: { type: 'EX', value: TTL_SECONDS } }),
    close: () => client.close(),
  }
}
