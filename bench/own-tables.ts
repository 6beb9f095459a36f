/** Stores with two own tables, of which one has the columns of `nodes`. */
import { pathToFileURL } from 'node:url'
import type { Meshstore, NewMeshNode, OwnSchema } from '../src/index.ts'
import { childPath } from './child.ts'
import { nodeOf } from './data.ts'
import { libraryPath } from './driver.ts'
import { openStorage } from './library.ts'

type NewStation = Omit<NewMeshNode, 'nodeId'> & { readonly stationId: string }

/** The part of the table's repository that is measured. */
export interface Stations {
  get(key: string): Promise<unknown>
  create(row: NewStation): Promise<unknown>
  createMany(rows: readonly NewStation[]): Promise<unknown>
  updateMany(where: { started: boolean }, patch: { routesDiscovered: number }): Promise<number>
  deleteMany(where: { started: boolean }): Promise<number>
}
export interface OwnStore extends AsyncDisposable {
  readonly store: Meshstore
  readonly stations: Stations
}

export function stationOf(n: number, id?: string): NewStation {
  const { nodeId: stationId, ...rest } = nodeOf(n, id)
  return { stationId, ...rest }
}

/** Plain JavaScript: a process that starts with it must not wait for types to be stripped. */
const children: unknown = await import(pathToFileURL(childPath('own-schema.mjs')).href)
const { schemaOf, writeMigrations } = children as {
  schemaOf: (entry: string) => Promise<OwnSchema>
  writeMigrations: (folder: string) => string
}

export { writeMigrations }

export async function openOwn(url: string, migrations: string): Promise<OwnStore> {
  const store = await openStorage({ url, tables: await schemaOf(libraryPath), migrations })
  const { stations } = store.tables as unknown as { stations: Stations }
  return { store: store as unknown as Meshstore, stations, [Symbol.asyncDispose]: () => store.close() }
}
