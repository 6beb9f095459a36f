/** A file that is served from, and an empty database that its data can move to. */
import pg from 'pg'
import {
  type Meshstore,
  type MoveOptions,
  type MoveReport,
  openStorage,
  type StorageOptions,
} from '../../../../src/index.ts'
import { FaultyProxy, type Held } from '../../../postgres/support/proxy.ts'
import { temporaryFolder } from '../../../support/folders.ts'
import { borrowDatabase } from '../../../support/postgres-backend.ts'

export interface Moving extends AsyncDisposable {
  readonly path: string
  readonly store: Meshstore
  readonly proxy: FaultyProxy
  /** The target's URL, through the proxy, and past it. */
  readonly url: string
  readonly direct: string
  /** Another store on the file, or on the URL that is given. */
  openAgain(options?: Partial<StorageOptions>): Promise<Meshstore>
  /** Asks the target past the library. */
  ask(sql: string): Promise<Record<string, unknown>[]>
  /** Moves, and stands still when the target is about to take along what no row says: nobody can write to the file. */
  inTheSwitch(options?: MoveOptions): Promise<Held & { readonly moved: Promise<MoveReport> }>
}

/** Asked of the target in the middle of the switch, and at no other time. */
export const IN_THE_SWITCH = 'DELETE FROM path_cache_marks'
/** Longer than any test takes. */
export const PATIENT: MoveOptions = { maxPauseMs: 600_000 }

export async function moving(options: Partial<StorageOptions> = {}): Promise<Moving> {
  const folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const database = await borrowDatabase()
  const proxy = await FaultyProxy.before(database.owner)
  const stores = [await openStorage({ url: path, ...options })]
  const [store] = stores as [Meshstore]
  return {
    path,
    store,
    proxy,
    url: proxy.url,
    direct: database.owner,
    openAgain: async (more = {}) => {
      const again = await openStorage({ url: path, ...options, ...more })
      stores.push(again)
      return again
    },
    ask: async (sql) => {
      const client = new pg.Client(database.owner)
      await client.connect()
      try {
        return (await client.query(sql)).rows
      } finally {
        await client.end()
      }
    },
    inTheSwitch: async (more = {}) => {
      const held = proxy.hold(IN_THE_SWITCH)
      const moved = store.moveTo(proxy.url, { ...PATIENT, ...more })
      await Promise.race([held.reached, moved])
      return { ...held, moved }
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of stores) await each.close()
      await proxy.away()
      await database.giveBack()
      folder[Symbol.dispose]()
    },
  }
}
