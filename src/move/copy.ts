/** Copies a database into an empty one: checks all rows, writes them in one transaction, and compares before the commit. */
import type { CopiedTable, CopyOptions, CopyProgress, CopyReport, OtherData, RefusedRow } from '../api.ts'
import { StorageError, type ValidationIssue } from '../errors.ts'
import { realPath } from '../files/path-rules.ts'
import { migrationsOf } from '../migrator/migrations.ts'
import { Quarantine } from '../migrator/quarantine.ts'
import { databaseOf } from '../open/config.ts'
import { up } from '../open/migrate.ts'
import { problemsOf } from '../rows/compatibility.ts'
import { byName } from '../rows/content-hash.ts'
import { assertNoOthers } from '../rows/other-data.ts'
import type { DatabaseTables } from '../rows/own-tables.ts'
import { assertSame, type Sent, sendRows } from '../rows/send.ts'
import { progressOver, type Snapshot } from '../rows/source.ts'
import type { Target } from '../rows/target.ts'
import { tablesFor } from '../rows/target-tables.ts'
import { keyCell, shownKey } from '../schema/cells.ts'
import { MAX_ID_CHARACTERS, shown } from '../schema/rules.ts'
import { TABLES, type Table } from '../schema/tables.ts'
import { withSnapshot } from '../transfer/index.ts'
import { appMigrationsAt } from '../transfer/tables.ts'
import { assertEmpty, newer } from './preflight.ts'

type Dialect = CopyReport['from']

export interface Copying {
  readonly to: string
  readonly options: CopyOptions
  readonly dialects: { readonly from: Dialect; readonly to: Dialect }
  /** Paths of both database files: the dead-letter file must not be one of them. */
  readonly files: readonly string[]
  readonly target: DatabaseTables
  readonly busyTimeoutMs: number
  /** Advice for rows that the target cannot hold. If set, such rows stop a dry run too. */
  readonly advice?: string
}

/** The number of rows of each table that the target cannot hold. */
type Refused = ReadonlyMap<Table, number>

export async function copy(from: string, to: string, options: CopyOptions): Promise<CopyReport> {
  refuseSame(from, to)
  const target = await assertEmpty(to, options.busyTimeoutMs ?? DEFAULT_BUSY_MS)
  const copying = copyingOf(from, to, options, target)
  const { busyTimeoutMs, dialects } = copying
  return withSnapshot(from, { busyTimeoutMs }, async (snapshot) => {
    assertCurrent(dialects.from, snapshot.schemaVersion)
    return copySnapshot(snapshot, copying)
  })
}

const DEFAULT_BUSY_MS = 5_000

export function copyingOf(from: string, to: string, options: CopyOptions, there: DatabaseTables): Copying {
  const [source, target] = [databaseOf(from), databaseOf(to)]
  return {
    to,
    options,
    dialects: { from: source.dialect, to: target.dialect },
    files: [source, target].flatMap((each) => (each.dialect === 'sqlite' ? [each.path] : [])),
    target: there,
    busyTimeoutMs: options.busyTimeoutMs ?? DEFAULT_BUSY_MS,
  }
}

/** Copies into a database that the preflight check found empty. The write checks again under its lock. */
export async function copySnapshot(snapshot: Snapshot, copying: Copying): Promise<CopyReport> {
  const { options, files } = copying
  const quarantine = options.quarantine === undefined ? undefined : new Quarantine(options.quarantine, ...files)
  try {
    const ignored = options.ignoreOtherTables
    const others = assertNoOthers(await snapshot.others(), ignored)
    const taken = await tablesFor(snapshot, copying.target, ignored, {
      applied: () => appMigrationsAt(copying.to, copying.busyTimeoutMs),
    })
    const tables = taken.tables.filter((table) => table !== TABLES.pathCache || options.skipCache !== true)
    const leftBehind = [...others, ...taken.leftBehind]
    await assertNoOrphans(snapshot, tables)
    const refused = await checkRows(snapshot, tables, copying, quarantine)
    const preflight = { tables, leftBehind, refused, quarantine }
    if (options.dryRun === true) return await reportOfDryRun(snapshot, copying, preflight)
    return await write(snapshot, copying, preflight)
  } finally {
    quarantine?.discard()
  }
}

function refuseSame(from: string, to: string): void {
  const [source, target] = [databaseOf(from), databaseOf(to)]
  const same =
    source.dialect === 'sqlite' && target.dialect === 'sqlite'
      ? realPath(source.path) === realPath(target.path)
      : JSON.stringify(source) === JSON.stringify(target)
  if (same)
    throw new StorageError(
      'CONFIG',
      'Source and target are the same database. Nothing was changed. Name another target.',
    )
}

/** Throws SCHEMA_NEWER. An older schema already failed when the snapshot was taken. */
function assertCurrent(dialect: Dialect, schemaVersion: string): void {
  if (schemaVersion !== migrationsOf(dialect).at(-1)?.tag) throw newer('source', schemaVersion)
}

/** Most rows in an error's `issues`. */
const LISTED = 1_000

/** Preflight check of all rows. Throws CORRUPT, with `issues`, if there are refused rows and no dead-letter file for them. */
export async function checkRows(
  snapshot: Snapshot,
  tables: readonly Table[],
  { options, dialects, advice }: Pick<Copying, 'options' | 'dialects' | 'advice'>,
  quarantine: Quarantine | undefined,
): Promise<Refused> {
  const { onRefused, signal } = options
  const progress = await progressOver(snapshot, tables, step('checking', options))
  const refused = new Map<Table, number>()
  const issues: ValidationIssue[] = []
  for (const table of tables) {
    for await (const slice of snapshot.slices(table)) {
      signal?.throwIfAborted()
      for (const cells of slice) {
        const problems = problemsOf(table, cells, dialects.to)
        const [problem] = problems
        if (problem === undefined) continue
        refused.set(table, (refused.get(table) ?? 0) + 1)
        const row: RefusedRow = { table: table.name, key: shortened(shownKey(keyCell(table, cells))), ...problem }
        if (issues.length < LISTED)
          issues.push({ path: `${row.table} ${row.key} ${row.column}`, message: problem.message })
        onRefused?.(row)
        quarantine?.add(table.name, snapshot.stored(table, cells), problems)
      }
      progress(slice.length)
    }
  }
  const stop = quarantine === undefined && (options.dryRun !== true || advice !== undefined)
  if (issues.length > 0 && stop) throw refusal(refused, issues, { to: dialects.to, advice })
  return refused
}

/** Throws CORRUPT. Such rows cannot be set aside: what refers to them would be left without a parent in its turn. */
export async function assertNoOrphans(snapshot: Snapshot, tables: readonly Table[]): Promise<void> {
  const { foreignKeys } = await snapshot.tables()
  const issues: ValidationIssue[] = []
  for (const { table, key, parent } of snapshot.orphans({ tables, foreignKeys })) {
    issues.push({
      path: `${table} ${shortened(shownKey(key))}`,
      message: `refers to a row of ${parent} that is missing`,
    })
    if (issues.length === LISTED) break
  }
  const [first] = issues
  if (first === undefined) return
  throw new StorageError(
    'CORRUPT',
    `Rows refer to others that are missing. Nothing was changed. Correct or delete them. The first: ${first.path} ${first.message}.`,
    { issues },
  )
}

/** Another program may have written a key of any length. */
const shortened = (key: string): string => (key.length <= 2 * MAX_ID_CHARACTERS ? key : shown(key))

const CORRECT = 'Correct or delete them, or have them written to a file (quarantine, --quarantine FILE).'

function refusal(
  refused: Refused,
  issues: readonly ValidationIssue[],
  { to, advice = CORRECT }: { to: Dialect; advice: string | undefined },
): StorageError {
  const rows = [...refused.values()].reduce((sum, count) => sum + count, 0)
  const many = rows === 1 ? '1 row' : `${rows} rows`
  const where = to === 'postgresql' ? 'PostgreSQL' : 'SQLite'
  const [first] = issues
  return new StorageError(
    'CORRUPT',
    `${many} cannot live in ${where}; nothing was changed. ${advice} The first: ${first?.path} ${first?.message}.`,
    { issues },
  )
}

interface Preflight {
  readonly tables: readonly Table[]
  readonly leftBehind: readonly OtherData[]
  readonly refused: Refused
  readonly quarantine: Quarantine | undefined
}

async function reportOfDryRun(snapshot: Snapshot, copying: Copying, preflight: Preflight): Promise<CopyReport> {
  const { refused, quarantine } = preflight
  quarantine?.rehearse()
  const tables = new Map<Table, Sent>()
  for (const table of preflight.tables) {
    const rows = (await snapshot.count(table)) - (refused.get(table) ?? 0)
    tables.set(table, { rows, sha256: undefined })
  }
  return reportOf(copying, { ...preflight, sent: tables, migrated: [], schemaVersion: snapshot.schemaVersion })
}

async function write(snapshot: Snapshot, copying: Copying, preflight: Preflight): Promise<CopyReport> {
  const { to, options, busyTimeoutMs } = copying
  // The target has no rows, so it needs no backup before its migration.
  const { applied } = await up(to, { busyTimeoutMs, backup: false })
  const sent = await into(to, { busyTimeoutMs }, async (target) => {
    const sent = await send(snapshot, copying, { ...preflight, target })
    await assertSame(
      target,
      sent,
      await progressOver(target.snapshot, preflight.tables, step('comparing', options)),
      options.signal,
    )
    // The dead-letter file is on disk before the commit, so that no row is lost at a crash.
    preflight.quarantine?.publish()
    return sent
  })
  const migrated = applied.map(({ tag }) => tag)
  return reportOf(copying, { ...preflight, sent, migrated, schemaVersion: snapshot.schemaVersion })
}

async function into<T>(
  url: string,
  options: { busyTimeoutMs: number },
  work: (target: Target) => Promise<T>,
): Promise<T> {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql') {
    const { intoPostgres } = await import('../rows/postgres-target.ts')
    return intoPostgres(target, options, work)
  }
  const { intoSqlite } = await import('../rows/sqlite-target.ts')
  return intoSqlite(target.path, options, work)
}

async function send(
  snapshot: Snapshot,
  { dialects, options }: Copying,
  { target, tables, refused }: Pick<Preflight, 'tables' | 'refused'> & { target: Target },
): Promise<Map<Table, Sent>> {
  const progress = await progressOver(snapshot, tables, step('copying', options))
  const sent = new Map<Table, Sent>()
  for (const table of tables) {
    // The preflight check has seen all rows. Check again only the tables with refused rows.
    const isLeftOut = refused.has(table)
      ? (cells: readonly unknown[]) => problemsOf(table, cells, dialects.to).length > 0
      : () => false
    sent.set(table, await sendRows(snapshot, target, table, { isLeftOut, progress, signal: options.signal }))
  }
  return sent
}

const step = (step: CopyProgress['step'], { onProgress }: CopyOptions) =>
  onProgress && ((done: number, total: number): void => onProgress({ step, done, total }))

interface Done extends Preflight {
  readonly sent: ReadonlyMap<Table, Sent>
  readonly migrated: readonly string[]
  readonly schemaVersion: string
}

function reportOf({ dialects, options }: Copying, done: Done): CopyReport {
  const { leftBehind, sent, refused, quarantine, migrated, schemaVersion } = done
  const copied = new Map<Table, CopiedTable>()
  for (const [table, { rows, sha256 }] of sent) copied.set(table, { rows, refused: refused.get(table) ?? 0, sha256 })
  const leftOut = [...refused.values()].some((rows) => rows > 0)
  return {
    ...dialects,
    dryRun: options.dryRun === true,
    schemaVersion,
    ...byName(copied),
    ...(leftOut && quarantine !== undefined && { quarantine: quarantine.file }),
    ...(leftBehind.length > 0 && { leftBehind }),
    migrated,
  }
}
