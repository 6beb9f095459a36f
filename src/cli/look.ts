import type { Command } from 'commander'
import type { Meshstore } from '../api.ts'
import { StorageError } from '../errors.ts'
import type { CachedPath, MeshNode, PolicySummary } from '../schema/index.ts'
import { openStorage } from '../storage.ts'
import { type Common, databaseCommand, limitOf, urlOf, waitOf } from './options.ts'
import { count, type Outcome, printable, report } from './output.ts'

type InspectFlags = Common & { limit?: number; after?: string }

const TABLES = ['nodes', 'policies', 'paths'] as const
type Table = (typeof TABLES)[number]
/** Rows of each table, where no table is named. */
const FEW = 5

/** `meshstore stats` and `meshstore inspect` */
export function addLook(program: Command): void {
  databaseCommand(program, 'stats')
    .description('Counts what is in a database, and says how large it is. Changes nothing.')
    .action((flags: Common) => report(flags, () => stats(flags)))
  databaseCommand(program, 'inspect [table]')
    .description(`Shows rows, in the order of their keys: ${TABLES.join(', ')}, or a few of each. Changes nothing.`)
    .option('--limit <n>', 'so many rows (default: 20)', limitOf)
    .option('--after <key>', 'begin behind this key')
    .action((table: string | undefined, flags: InspectFlags) => report(flags, () => inspect(table, flags)))
}

/** Whatever its schema: who looks wants to see. */
async function looking<T>(flags: Common, look: (store: Meshstore) => Promise<T>): Promise<T> {
  const url = urlOf(flags)
  const busyTimeoutMs = waitOf(flags)
  await using store = await openStorage({ url, readOnly: true, migrate: 'skip', busyTimeoutMs, pool: { max: 1 } })
  return await look(store)
}

async function stats(flags: Common): Promise<Outcome> {
  const { dialect, found } = await looking(flags, async (store) => ({
    dialect: store.dialect,
    found: await store.stats(),
  }))
  const { rows, expiredPaths, bytes, walBytes, schemaVersion } = found
  return {
    json: { dialect, ...found },
    text: [
      `Nodes         ${count(rows.nodes)}`,
      `Policies      ${count(rows.policies)}`,
      `Cached paths  ${count(rows.pathCache)}, of which ${count(expiredPaths)} have expired`,
      `Bytes         ${count(bytes)}${dialect === 'sqlite' ? `, and ${count(walBytes)} in the log` : ''}`,
      `Schema        ${schemaVersion}`,
    ],
  }
}

async function inspect(table: string | undefined, flags: InspectFlags): Promise<Outcome> {
  const chosen = table === undefined ? TABLES : TABLES.filter((name) => name === table)
  if (chosen.length === 0) throw misnamed(table ?? '')
  const page = { limit: flags.limit ?? (table === undefined ? FEW : 20), after: flags.after }
  const found = await looking(flags, async (store) => {
    const rows: Partial<Record<Table, readonly object[]>> = {}
    const text: string[] = []
    for (const name of chosen) {
      const { title, shown, lines } = await READERS[name](store, page)
      rows[name] = shown
      text.push(...(table === undefined ? [title] : []), ...lines.map((line) => printable(line)))
    }
    return { rows, text }
  })
  return { json: found.rows, text: found.text.length > 0 ? found.text : ['There are no rows.'] }
}

interface Shown {
  readonly title: string
  readonly shown: readonly object[]
  readonly lines: readonly string[]
}
type Reader = (store: Meshstore, page: { limit: number; after: string | undefined }) => Promise<Shown>

const READERS: Readonly<Record<Table, Reader>> = {
  nodes: async ({ nodes }, page) => {
    const shown = await nodes.list(page)
    return { title: `Nodes (${count(await nodes.count())}):`, shown, lines: shown.map(nodeLine) }
  },
  policies: async ({ policies }, page) => {
    const shown = await policies.list(page)
    return { title: `Policies (${count(await policies.count())}):`, shown, lines: shown.map(policyLine) }
  },
  paths: async ({ pathCache }, page) => {
    const shown = await pathCache.list(page)
    return { title: `Cached paths (${count(await pathCache.count())}):`, shown, lines: shown.map(pathLine) }
  },
}

const misnamed = (table: string): StorageError =>
  new StorageError(
    'CONFIG',
    `There is no table ${JSON.stringify(table)} to look at: it is one of ${TABLES.join(', ')}.`,
  )

const nodeLine = ({ nodeId, started, interfaces, protocols, routesDiscovered, updatedAt }: MeshNode): string =>
  `  ${nodeId}  ${started ? 'started' : 'stopped'}  ${interfaces.join(',')}  ${protocols.join(',')}  ${count(routesDiscovered)} routes  ${updatedAt.toISOString()}`

const policyLine = ({ policyId, rulesCount, updatedAt }: PolicySummary): string =>
  `  ${policyId}  ${count(rulesCount)} rules  ${updatedAt.toISOString()}`

const pathLine = ({ source, destination, k, bundle, expiresAt }: CachedPath): string =>
  `  ${source} → ${destination}  k=${k}  ${count(bundle.primary?.length ?? 0)} paths  until ${expiresAt.toISOString()}`
