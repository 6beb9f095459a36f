/** `open.mjs ENTRY FILE`: opens an existing file with the library at ENTRY, or with the raw driver where ENTRY is `raw`. */
import { pathToFileURL } from 'node:url'

/** Both sides read a row by its key, a page of rows, and all of them. */
export async function open(entry, file) {
  return entry === 'raw' ? openRaw(file) : openStore(entry, file)
}

async function openStore(entry, file) {
  const { openStorage } = await import(pathToFileURL(entry).href)
  const store = await openStorage(file)
  return {
    read: (id) => store.nodes.get(id),
    first: async () => (await store.nodes.list({ limit: 1 }))[0],
    all: () => store.nodes.iterate(),
    close: () => store.close(),
  }
}

async function openRaw(file) {
  const { default: Sqlite } = await import('better-sqlite3')
  const raw = new Sqlite(file, { fileMustExist: true })
  raw.pragma('journal_mode = WAL')
  raw.pragma('synchronous = FULL')
  const nodeOf = (row) => ({
    nodeId: row.node_id,
    interfaces: JSON.parse(row.interfaces),
    protocols: JSON.parse(row.protocols),
    started: row.started === 1,
    routesDiscovered: row.routes_discovered,
    createdAt: new Date(Math.round(row.created_at * 1000)),
    updatedAt: new Date(Math.round(row.updated_at * 1000)),
  })
  const byId = raw.prepare('SELECT * FROM nodes WHERE node_id = ?')
  const inOrder = raw.prepare('SELECT * FROM nodes ORDER BY node_id')
  return {
    read: (id) => nodeOf(byId.get(id)),
    first: () => nodeOf(raw.prepare('SELECT * FROM nodes ORDER BY node_id LIMIT 1').get()),
    *all() {
      for (const row of inOrder.iterate()) yield nodeOf(row)
    },
    close: () => raw.close(),
  }
}
