/** Databases on which many clients call at once: each has two stores and an audit of its rows. */
import pg from 'pg'
import { openStorage } from '../../../src/index.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { app, migrations } from '../../tables/app/schema.ts'
import type { AppStore } from '../../tables/app/stages.ts'
import { auditFile, auditServer } from './audit.ts'
import type { Audited } from './rows.ts'

export interface Place extends AsyncDisposable {
  readonly dialect: 'sqlite' | 'postgresql'
  readonly stores: readonly AppStore[]
  readonly audit: () => Promise<Audited[]>
}

export async function openFile(): Promise<Place> {
  const folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await migrate(path)
  return placeAt('sqlite', path, auditFile(path), () => folder[Symbol.dispose]())
}

/** A database of its own. `server`: the URL of an administrator. */
export async function openOn(server: string): Promise<Place> {
  const name = `meshstore_calls_${process.pid}_${++made}`
  await using administrator = await connected(server)
  await administrator.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`)
  const url = new URL(server)
  url.pathname = `/${name}`
  await migrate(url.href)
  const client = await connected(url.href)
  const audit = await auditServer(client)
  return placeAt('postgresql', url.href, audit, async () => {
    await client[Symbol.asyncDispose]()
    await using again = await connected(server)
    await again.query(`DROP DATABASE ${name} WITH (FORCE)`)
  })
}

let made = 0

async function migrate(url: string): Promise<void> {
  await (await openStorage({ url, migrations, tables: app })).close()
}

async function placeAt(
  dialect: Place['dialect'],
  url: string,
  audit: Place['audit'],
  remove: () => void | Promise<void>,
): Promise<Place> {
  const options = { url, migrations, tables: app, pathCache: { invalidation: 'manual' } } as const
  const stores = [await openStorage(options), await openStorage(options)]
  return {
    dialect,
    stores,
    audit,
    [Symbol.asyncDispose]: async () => {
      for (const store of stores) await store.close()
      await remove()
    },
  }
}

async function connected(url: string) {
  const client = new pg.Client(url)
  await client.connect()
  return {
    query: async <R extends object>(sql: string): Promise<R[]> => (await client.query<R & pg.QueryResultRow>(sql)).rows,
    [Symbol.asyncDispose]: () => client.end(),
  }
}
