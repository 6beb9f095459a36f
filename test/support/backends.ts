/** The backends on which the suites run. A further dialect is one more entry of `backends`. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { copyFileSync, existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type Sqlite from 'better-sqlite3'
import { inject } from 'vitest'
import { SqliteDatabase } from '../../src/database/sqlite/sqlite-database.ts'
import { type Meshstore, openStorage, type StorageOptions } from '../../src/index.ts'
import { temporaryFolder } from './folders.ts'
import { type OtherProgram, programInside, sqliteProgram } from './other-program.ts'
import { borrowDatabase, postgresProgram } from './postgres-backend.ts'

export type OpenOptions = Omit<StorageOptions, 'url'>

export interface OpenStore extends AsyncDisposable {
  readonly store: Meshstore
  readonly url: string
  /** Another program on the same database, which obeys none of the library's rules. */
  readonly other: OtherProgram
}

export interface Backend {
  readonly name: string
  /** A store takes tens of milliseconds to open, so that random programs are fewer. */
  readonly slow: boolean
  /** A column takes a value of any type, and a list is kept byte for byte. It decides what can be broken, not whether. */
  readonly looseTypes: boolean
  /** An empty database of its own, removed when it is disposed of: `await using opened = await backend.open()`. */
  open(options?: OpenOptions): Promise<OpenStore>
}

/** Abilities of a database that outlives its store. */
export interface LastingStore extends OpenStore {
  /** Closes the store and opens the same database again. */
  reopen(options?: OpenOptions): Promise<Meshstore>
  /** Opens the same database once more, beside the first. It is closed with it. */
  openAgain(options?: OpenOptions): Promise<Meshstore>
}

export interface LastingBackend extends Backend {
  open(options?: OpenOptions): Promise<LastingStore>
}

interface FileStore extends LastingStore {
  readonly path: string
}

/** An empty database of this version. To copy it takes a fraction of making one; how one is made has tests of its own. */
async function migratedFile(): Promise<string> {
  const kept = join(inject('shared'), 'migrated.db')
  if (existsSync(kept)) return kept
  // Workers of a runtime may be threads of one process.
  const mine = `${kept}-${crypto.randomUUID()}`
  await (await openStorage(mine)).close()
  renameSync(mine, kept)
  return kept
}

export const sqliteFile = {
  name: 'SQLite in a file',
  slow: false,
  looseTypes: true,
  open: async (options: OpenOptions = {}): Promise<FileStore> => {
    const folder = temporaryFolder()
    const path = folder.file('mesh.db')
    copyFileSync(await migratedFile(), path)
    const opened = await openAt(`sqlite:${path}`, options, () => folder[Symbol.dispose]())
    return { ...opened, path, other: sqliteProgram(path) }
  },
} satisfies LastingBackend

export const sqliteMemory: Backend = {
  name: 'SQLite in memory',
  slow: false,
  looseTypes: true,
  open: async (options = {}) => {
    const reached: Sqlite.Database[] = []
    const opening = (): Promise<Bare> => openAt('sqlite::memory:', options, () => {})
    const { store, url, [Symbol.asyncDispose]: dispose } = await reaching.run(reached, opening)
    const [raw] = reached
    if (raw === undefined) throw new Error('The connection to the database in memory was not seen.')
    return { store, url, other: programInside(raw), [Symbol.asyncDispose]: dispose }
  },
}

export const postgres: LastingBackend = {
  name: 'PostgreSQL',
  slow: true,
  looseTypes: false,
  open: async (options = {}) => {
    const { url, owner, giveBack } = await borrowDatabase(Object.values(options.tables?.tables ?? {}))
    // The store's role may not change the schema.
    if (options.migrations !== undefined) await (await openStorage({ url: owner, ...options })).close()
    return { ...(await openAt(url, options, giveBack)), other: postgresProgram(owner) }
  },
}

/** The set-up has said loudly what is not tested if there is no server. */
const servers = inject('postgresUrl') === '' ? [] : [postgres]

export const backends: readonly Backend[] = [sqliteFile, sqliteMemory, ...servers]

/** Backends whose data outlives the store, and which others can read beside an open transaction. */
export const lastingBackends: readonly LastingBackend[] = [sqliteFile, ...servers]

/** Collects the connections that write, of what is opened meanwhile. */
const reaching = new AsyncLocalStorage<Sqlite.Database[]>()
const openDatabase = SqliteDatabase.open
SqliteDatabase.open = async (...args) => {
  const database = await openDatabase.apply(SqliteDatabase, args)
  const reached = reaching.getStore()
  if (reached !== undefined) reached.push(await database.onWriter(({ raw }) => raw))
  return database
}

type Bare = Omit<LastingStore, 'other'>

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
