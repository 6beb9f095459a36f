import type { Command } from 'commander'
import type { Meshstore } from '../api.ts'
import { StorageError } from '../errors.ts'
import { inspect as inspectSchema } from '../open/migrate.ts'
import type { Snapshot } from '../rows/source.ts'
import type { CachedPath, MeshNode, PolicySummary } from '../schema/index.ts'
import { openStorage } from '../storage.ts'
import { withSnapshot } from '../transfer/index.ts'
import { ownPage, ownTableIn, ownTablesIn } from './inspect-own.ts'
import { type Common, databaseCommand, urlOf, waitOf, wholeNumber } from './options.ts'
import { count, counted, type Outcome, printable, report } from './output.ts'

type InspectFlags = Common & { limit?: number; after?: string }
const limitOf = wholeNumber(1, 10_000, 'Give a whole number from 1 to 10000.')

const TABLES = ['nodes', 'policies', 'paths'] as const
/** Name of the paths' table in the database and in an export. */
const PATHS = 'path_cache'
type Table = (typeof TABLES)[number]
/** Rows of each table if no table is named. */
const FEW = 5

export function addInspect(program: Command): void {
  databaseCommand(program, 'stats')
    .description('Counts what is in a database, and says how large it is. Changes nothing.')
    .action((flags: Common) => report(flags, () => stats(flags)))
  databaseCommand(program, 'inspect [table]')
    .description(
      `Shows rows, in the order of their keys: ${TABLES.join(', ')}, a table of the application’s, or a few of each. Changes nothing.`,
    )
    .option('--limit <n>', 'so many rows (default: 20)', limitOf)
    .option('--after <key>', 'begin behind this key')
    .action((table: string | undefined, flags: InspectFlags) => report(flags, () => inspect(table, flags)))
}

/** Opens the database read-only with any schema version. If that fails, the error says which migration command to run. */
async function withReadOnlyStore<T>(flags: Common, look: (store: Meshstore) => Promise<T>): Promise<T> {
  const url = urlOf(flags)
  const busyTimeoutMs = waitOf(flags)
  try {
    await using store = await openStorage({ url, readOnly: true, migrate: 'skip', busyTimeoutMs, pool: { max: 1 } })
    return await look(store)
  } catch (error) {
    if (!(error instanceof StorageError) || !['SCHEMA_MISMATCH', 'CORRUPT'].includes(error.code)) throw error
    throw (await notReadyError(url, busyTimeoutMs)) ?? error
  }
}

/** Returns an error that says which command makes the database readable. */
async function notReadyError(url: string, busyTimeoutMs: number): Promise<StorageError | undefined> {
  const found = await inspectSchema(url, busyTimeoutMs).catch(() => undefined)
  const words = {
    new: 'The database has no tables yet. Run meshstore migrate up.',
    pending: `Migrations are pending: ${found?.pending.join(', ')}. Run meshstore migrate up.`,
    adoptable: ADOPT,
    // The file has not been adopted, and has rows that an adoption would refuse.
    refused: found?.adoption === undefined ? undefined : ADOPT,
    current: undefined,
  }[found?.state ?? 'current']
  return words === undefined ? undefined : new StorageError('SCHEMA_MISMATCH', words)
}

const ADOPT =
  'Another program made the file, and it has not been adopted. meshstore migrate adopt --dry-run says what would become of its rows, meshstore migrate up adopts it.'

const onSnapshot = <T>(flags: Common, look: (snapshot: Snapshot) => Promise<T>): Promise<T> =>
  withSnapshot(urlOf(flags), { busyTimeoutMs: waitOf(flags), anySchema: true, refuseMoved: true }, look)

const ownRows = (flags: Common): Promise<[name: string, rows: number][]> =>
  onSnapshot(flags, async (snapshot) => {
    const found: [string, number][] = []
    for (const table of await ownTablesIn(snapshot)) found.push([table.name, await snapshot.count(table)])
    return found
  })

async function stats(flags: Common): Promise<Outcome> {
  const { dialect, found, validPaths } = await withReadOnlyStore(flags, async (store) => ({
    dialect: store.dialect,
    found: await store.stats(),
    validPaths: await store.pathCache.count(),
  }))
  const own = await ownRows(flags)
  const { rows, expiredPaths, bytes, walBytes, schemaVersion } = found
  return {
    json: { dialect, ...found, validPaths, ...(own.length > 0 && { ownTables: Object.fromEntries(own) }) },
    text: [
      `Nodes         ${count(rows.nodes)}`,
      `Policies      ${count(rows.policies)}`,
      // The other paths are invalidated and wait for the next sweep.
      `Cached paths  ${count(rows.pathCache)}, of which ${count(validPaths)} are valid and ${count(expiredPaths)} have expired`,
      ...own.map(([name, number]) => `${name.padEnd(13)} ${count(number)}`),
      `Bytes         ${count(bytes)}${dialect === 'sqlite' ? `, and ${count(walBytes)} in the log` : ''}`,
      `Schema        ${schemaVersion}`,
    ],
  }
}

async function inspect(asked: string | undefined, flags: InspectFlags): Promise<Outcome> {
  const table = asked === PATHS ? 'paths' : asked
  const chosen = table === undefined ? TABLES : TABLES.filter((name) => name === table)
  const page = { limit: flags.limit ?? (table === undefined ? FEW : 20), after: flags.after }
  if (table !== undefined && chosen.length === 0) return inspectOwn(table, flags, page)
  const found = await withReadOnlyStore(flags, async (store) => {
    const rows: Partial<Record<Table, readonly object[]>> = {}
    const text: string[] = []
    for (const name of chosen) {
      const { title, shown, lines, last } = await READERS[name](store, page)
      rows[name] = shown
      const more = table !== undefined && last !== undefined && (await READERS[name](store, { limit: 1, after: last }))
      text.push(
        ...(table === undefined ? [title] : []),
        ...lines,
        ...(more && more.shown.length > 0 ? [printable(`  … and more: --after ${JSON.stringify(last)}`)] : []),
      )
    }
    return { rows, text }
  })
  const own = table === undefined ? await onSnapshot(flags, (snapshot) => allOwn(snapshot, page)) : []
  const text = [...found.text, ...own.flatMap(({ title, cells }) => [title, ...aligned(cells)])]
  return {
    json: { ...found.rows, ...Object.fromEntries(own.map(({ name, shown }) => [name, shown])) },
    text: text.length > 0 ? text : ['There are no rows.'],
  }
}

async function allOwn(snapshot: Snapshot, page: { limit: number; after: string | undefined }) {
  const found = []
  for (const table of await ownTablesIn(snapshot))
    found.push({ name: table.name, ...(await ownPage(snapshot, table, page)) })
  return found
}

const inspectOwn = (name: string, flags: InspectFlags, page: { limit: number; after: string | undefined }) =>
  onSnapshot(flags, async (snapshot): Promise<Outcome> => {
    const table = await ownTableIn(snapshot, name)
    if (table === undefined)
      throw misnamed(
        name,
        (await ownTablesIn(snapshot)).map((each) => each.name),
      )
    const { shown, cells, last, hasMore } = await ownPage(snapshot, table, page)
    const more = hasMore ? [printable(`  … and more: --after ${JSON.stringify(last)}`)] : []
    return { json: { [name]: shown }, text: cells.length > 0 ? [...aligned(cells), ...more] : ['There are no rows.'] }
  })

interface Shown {
  readonly title: string
  readonly shown: readonly object[]
  readonly lines: readonly string[]
  /** The last key. */
  readonly last: string | undefined
}
type Reader = (store: Meshstore, page: { limit: number; after: string | undefined }) => Promise<Shown>

const READERS: Readonly<Record<Table, Reader>> = {
  nodes: async ({ nodes }, page) => {
    const shown = await nodes.list(page)
    return {
      title: `Nodes (${count(await nodes.count())}):`,
      shown,
      lines: aligned(shown.map(nodeCells)),
      last: shown.at(-1)?.nodeId,
    }
  },
  policies: async ({ policies }, page) => {
    const shown = await policies.list(page)
    return {
      title: `Policies (${count(await policies.count())}):`,
      shown,
      lines: aligned(shown.map(policyCells)),
      last: shown.at(-1)?.policyId,
    }
  },
  paths: async ({ pathCache }, page) => {
    const shown = await pathCache.list(page)
    return {
      title: `Cached paths (${count(await pathCache.count())}):`,
      shown,
      lines: aligned(shown.map(pathCells)),
      last: shown.at(-1)?.cacheKey,
    }
  },
}

const misnamed = (table: string, own: readonly string[]): StorageError =>
  new StorageError(
    'CONFIG',
    `There is no table ${JSON.stringify(table)} to look at. Name one of ${[...TABLES, ...own].join(', ')}.`,
  )

type Cells = readonly string[]

const nodeCells = ({ nodeId, started, interfaces, protocols, routesDiscovered, updatedAt }: MeshNode): Cells => [
  nodeId,
  started ? 'started' : 'stopped',
  interfaces.join(',') || '-',
  protocols.join(',') || '-',
  counted(routesDiscovered, 'route'),
  `updated ${updatedAt.toISOString()}`,
]

const policyCells = ({ policyId, rulesCount, updatedAt }: PolicySummary): Cells => [
  policyId,
  counted(rulesCount, 'rule'),
  `updated ${updatedAt.toISOString()}`,
]

const pathCells = ({ source, destination, k, bundle, expiresAt }: CachedPath): Cells => [
  `${source} → ${destination}`,
  `k=${k}`,
  counted(bundle.primary?.length ?? 0, 'path'),
  `until ${expiresAt.toISOString()}`,
]

/** Maximum width of an aligned column: a longer cell does not widen it. */
const WIDEST = 40
function aligned(rows: readonly Cells[]): string[] {
  const printed = rows.map((cells) => cells.map(printable))
  const widths = (printed[0] ?? []).map((_, column) =>
    Math.max(...printed.map((cells) => cells[column]?.length ?? 0).filter((length) => length <= WIDEST), 0),
  )
  return printed.map((cells) =>
    `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  )
}
