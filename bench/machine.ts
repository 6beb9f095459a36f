/** The machine of the figures. No names of hosts, users or folders. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, totalmem, type } from 'node:os'
import { Sqlite } from './driver.ts'

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
  /** The load of the last minute, before anything was measured: above zero, others use the machine too. */
  readonly load: number
  /** The version of each peer that is installed. */
  readonly peers: Readonly<Record<string, string>>
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
    platform: `${type()} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / GIB),
    load: loadavg()[0] ?? 0,
    peers: peerVersions(),
  }
}

const read = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8')
const versionOf = (file: string): string => JSON.parse(read(file)).version

function peerVersions(): Record<string, string> {
  const { dependencies }: { dependencies: Record<string, string> } = JSON.parse(read('./package.json'))
  const found = Object.keys(dependencies).flatMap((name) => {
    try {
      return [[name, versionOf(`./node_modules/${name}/package.json`)]]
    } catch {
      return []
    }
  })
  return Object.fromEntries(found)
}

/** In lines of up to 100 columns. */
export const machineLines = (of: Machine): string =>
  [
    `meshstore ${of.meshstore}, Node ${of.node}, better-sqlite3 ${of.betterSqlite3} (SQLite ${of.sqlite}), drizzle-orm ${of.drizzleOrm}`,
    `${of.platform}, ${of.cpu}, ${of.cores} cores, ${of.memoryGiB} GiB`,
  ].join('\n')

export function peerLine({ peers }: Machine): string {
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`)
  return versions.length === 0 ? 'The peers are NOT INSTALLED: node bench/install.ts' : `peers: ${versions.join(', ')}`
}
