/** Keyv on SQLite, with the write-ahead log, as its documentation recommends. */
import KeyvSqlite from '@keyv/sqlite'
import Keyv from 'keyv'
import type { PathBundle } from '../../../src/index.ts'
import { TTL_SECONDS, textKey } from '../../cache-data.ts'
import type { CachePeerModule } from '../../peer.ts'

export const open: CachePeerModule['open'] = (file) => {
  const keyv = new Keyv<PathBundle>({ store: new KeyvSqlite({ uri: `sqlite://${file}`, wal: true }) })
  return {
    get: (key) => keyv.get(textKey(key)),
    set: (key, bundle) => keyv.set(textKey(key), bundle, TTL_SECONDS * 1_000),
    close: () => keyv.disconnect(),
  }
}
