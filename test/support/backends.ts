/** What the suites run on. A further dialect is one more entry of `backends`. */
import { inject } from 'vitest'
import { type Meshstore, openStorage, type StorageOptions } from '../../src/index.ts'
import { temporaryFolder } from './folders.ts'
import { type OtherProgram, sqliteProgram } from './other-program.ts'
import { borrowDatabase, postgresProgram } from './postgres-backend.ts'

export type OpenOptions = Omit<StorageOptions, 'url'>

/** What a backend can do that another one cannot. A case that needs it asks for it; none asks for a name. */
export interface Capabilities {
  /** What was written is there when the database is opened again. */
  readonly reopens: boolean
  /** Others read while a transaction is open, and a snapshot does not hold the writer. */
  readonly readsBesideTransactions: boolean
  /** Other programs can open the same database, and write what no check of the schema would let pass. */
  readonly otherPrograms: boolean
  /** One transaction at a time, and writes take effect in the order in which they were called. */
  readonly oneWriter: boolean
  /** A transaction goes on after an error of the database's own, such as a trigger's. */
  readonly survivesErrors: boolean
  /** A column takes a value of any type, and a list is kept byte for byte. */
  readonly looseTypes: boolean
  /** The database is a file of which mode, name and bytes can be looked at. */
  readonly file: boolean
}

export interface OpenStore extends AsyncDisposable {
  readonly store: Meshstore
  readonly url: string
  /** The file's path, on a backend that has one. */
  readonly path: string | undefined
  /** Another program on the same database, on a backend that others can open. */
  readonly other: OtherProgram | undefined
  /** Closes the store and opens the same database again. */
  reopen(options?: OpenOptions): Promise<Meshstore>
  /** Opens the same database once more, beside the first. It is closed with it. */
  openAgain(options?: OpenOptions): Promise<Meshstore>
}

export interface Backend {
  readonly name: string
  /** A store takes tens of milliseconds to open, so that random programs are fewer. */
  readonly slow: boolean
  readonly has: Capabilities
  /** An empty database of its own, removed when it is disposed of: `await using opened = await backend.open()`. */
  open(options?: OpenOptions): Promise<OpenStore>
}

export const sqliteFile: Backend = {
  name: 'SQLite in a file',
  slow: false,
  has: {
    reopens: true,
    readsBesideTransactions: true,
    otherPrograms: true,
    oneWriter: true,
    survivesErrors: true,
    looseTypes: true,
    file: true,
  },
  open: async (options = {}) => {
    const folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const opened = await openAt(`sqlite:${path}`, options, () => folder[Symbol.dispose]())
    return { ...opened, path, other: sqliteProgram(path) }
  },
}

export const sqliteMemory: Backend = {
  name: 'SQLite in memory',
  slow: false,
  has: {
    reopens: false,
    readsBesideTransactions: false,
    otherPrograms: false,
    oneWriter: true,
    survivesErrors: true,
    looseTypes: true,
    file: false,
  },
  open: async (options = {}) => {
    const opened = await openAt('sqlite::memory:', options, () => {})
    return { ...opened, path: undefined, other: undefined }
  },
}

export const postgres: Backend = {
  name: 'PostgreSQL',
  slow: true,
  has: {
    reopens: true,
    readsBesideTransactions: true,
    otherPrograms: true,
    oneWriter: false,
    survivesErrors: false,
    looseTypes: false,
    file: false,
  },
  open: async (options = {}) => {
    const { url, owner, giveBack } = await borrowDatabase()
    return { ...(await openAt(url, options, giveBack)), path: undefined, other: postgresProgram(owner) }
  },
}

/** The set-up has said loudly what is not tested if there is no server. */
export const backends: readonly Backend[] = [
  sqliteFile,
  sqliteMemory,
  ...(inject('postgresUrl') === '' ? [] : [postgres]),
]

type Bare = Omit<OpenStore, 'path' | 'other'>

async function openAt(url: string, options: OpenOptions, remove: () => void | Promise<void>): Promise<Bare> {
  const stores: Meshstore[] = []
  const open = async (how: OpenOptions): Promise<Meshstore> => {
    const store = await openStorage({ url, ...how })
    stores.push(store)
    return store
  }
  const store = await open(options)
  return {
    store,
    url,
    reopen: async (how = options) => {
      await store.close()
      return open(how)
    },
    openAgain: (how = options) => open(how),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(stores.map((opened) => opened.close()))
      await remove()
    },
  }
}
