/** What the figures were measured on. No names of hosts, users or folders. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import Sqlite from 'better-sqlite3'

export interface Machine {
  readonly meshstore: string
  readonly node: string
  readonly betterSqlite3: string
  readonly sqlite: string
  readonly drizzleOrm: string
  readonly platform: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
}

const GIB = 1_073_741_824

export function machine(): Machine {
  const memory = new Sqlite(':memory:')
  const sqlite = String(memory.prepare('SELECT sqlite_version()').pluck().get())
  memory.close()
  return {
    meshstore: versionOf('../package.json'),
    node: process.versions.node,
    betterSqlite3: versionOf('../node_modules/better-sqlite3/package.json'),
    sqlite,
    drizzleOrm: versionOf('../node_modules/drizzle-orm/package.json'),
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / GIB),
  }
}

const versionOf = (file: string): string => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')).version

/** In two lines of up to 100 columns. */
export const machineLines = (of: Machine): string =>
  `meshstore ${of.meshstore}, Node ${of.node}, better-sqlite3 ${of.betterSqlite3} (SQLite ${of.sqlite}), drizzle-orm ${of.drizzleOrm}
${of.platform}, ${of.cpu}, ${of.cores} cores, ${of.memoryGiB} GiB`
