/**
 * Writes the triggers, rights and descriptions of an application's tables as a migration of the application, beside those of
 * drizzle-kit: for deployments where drizzle-kit, or a role of its own, migrates.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StorageError } from '../errors.ts'
import { quotedName, rowOfTable } from '../schema/described.ts'
import type { Table } from '../schema/tables.ts'
import { ownTriggersOnPostgres, ownTriggersOnSqlite } from '../schema/trigger-sql.ts'
import { sqliteTriggerNames } from '../schema/triggers.ts'
import { APP_LEDGER } from './app-ledger.ts'
import { type Dialect, folderOf, type Migration } from './migrations.ts'
import { APP_ROLE, grantSql } from './own-grants.ts'
import { ownMigrations } from './own-migrations.ts'

export interface Generated {
  readonly dialect: Dialect
  /** `undefined`: the migrations have everything already. */
  readonly file: string | undefined
  /** The tables that the file is for. */
  readonly tables: readonly string[]
}

const BREAKPOINT = '--> statement-breakpoint\n'
const DIALECTS: readonly Dialect[] = ['sqlite', 'postgresql']

export interface GenerateOptions {
  readonly name: string
  readonly now: Date
  readonly dryRun: boolean
}

/** For each folder `<folder>/<dialect>` that is there. Throws CONFIG, before anything is written. */
export function generateOwn(folder: string, tables: readonly Table[], options: GenerateOptions): Generated[] {
  const dialects = DIALECTS.filter((dialect) => existsSync(join(folder, dialect)))
  if (dialects.length === 0)
    throw new StorageError(
      'CONFIG',
      `${folder} has no folder sqlite or postgresql with migrations. Nothing was written. Make them with drizzle-kit generate, with out: '${join(folder, 'sqlite')}' in its configuration.`,
    )
  const found = dialects.map((dialect) => {
    const migrations = ownMigrations(folder, dialect)
    for (const table of tables) assertMade(table, migrations, join(folder, dialect))
    return { dialect, migrations, missing: tables.filter((table) => !isSettled(dialect, table, migrations)) }
  })
  return found.map(({ dialect, migrations, missing }) => {
    const names = missing.map(({ name }) => name)
    if (missing.length === 0) return { dialect, file: undefined, tables: names }
    const sql = missing.map((table) => settledBy(dialect, table)).join(BREAKPOINT)
    return { dialect, file: write(join(folder, dialect), migrations, sql, options), tables: names }
  })
}

/** The statements that an open by the owner would run, for a migration. */
function settledBy(dialect: Dialect, table: Table): string {
  const [name, value] = rowOfTable(table).map((text) => `'${text.replaceAll("'", "''")}'`)
  const statements =
    dialect === 'sqlite'
      ? [
          ...sqliteTriggerNames(table).map((trigger) => `DROP TRIGGER IF EXISTS ${quotedName(trigger)}`),
          ...ownTriggersOnSqlite(table),
          `INSERT OR REPLACE INTO meshstore_state (name, value, updated_at) VALUES (${name}, ${value}, CAST(strftime('%s', 'now') AS REAL))`,
        ]
      : [
          ...ownTriggersOnPostgres(table),
          grantSql(`SELECT, INSERT, UPDATE, DELETE ON ${quotedName(table.name)}`),
          grantSql(`SELECT ON drizzle.${APP_LEDGER}`),
          `INSERT INTO meshstore_state (name, value, updated_at) VALUES (${name}, ${value}, extract(epoch FROM now()))
ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
        ]
  const whose = dialect === 'sqlite' ? 'Triggers' : `Triggers, rights of ${APP_ROLE}`
  return `-- ${whose} and description of ${table.name}, made by meshstore migrate generate.\n${statements.join(`;\n${BREAKPOINT}`)};\n`
}

/** The last migration that has something of this has all of it, and none has made the table anew since. */
function isSettled(dialect: Dialect, table: Table, migrations: readonly Migration[]): boolean {
  const [row] = rowOfTable(table)
  const last = migrations.findLastIndex(({ statements }) => statements.join('').includes(`('${row}', `))
  if (last === -1) return false
  const has = migrations[last]?.statements.join(BREAKPOINT.trimEnd()).includes(settledBy(dialect, table)) === true
  const isDropped = migrations
    .slice(last + 1)
    .some(({ statements }) => statements.some((sql) => naming('DROP\\s+TABLE', table).test(sql)))
  return has && !isDropped
}

const naming = (verb: string, { name }: Table): RegExp =>
  new RegExp(
    `${verb}\\s+(IF\\s+(NOT\\s+)?EXISTS\\s+)?(["\`]?\\w+["\`]?\\.)?["\`]?${name.replaceAll('$', '\\$')}(?![\\w$])`,
    'iu',
  )

function assertMade(table: Table, migrations: readonly Migration[], at: string): void {
  // SQLite makes a table anew under another name.
  const makes = [naming('CREATE\\s+TABLE', table), naming('RENAME\\s+TO', table)]
  if (migrations.some(({ statements }) => statements.some((sql) => makes.some((each) => each.test(sql))))) return
  throw new StorageError(
    'CONFIG',
    `No migration in ${at} makes the table ${table.name}. Nothing was written. Run drizzle-kit generate first.`,
  )
}

interface Journal {
  readonly entries: { idx: number; version: string; when: number; tag: string; breakpoints: boolean }[]
}

/** In the form of the drizzle-kit that wrote the others. Returns the path of the SQL. */
function write(
  at: string,
  migrations: readonly Migration[],
  sql: string,
  { name, now, dryRun }: GenerateOptions,
): string {
  const when = Math.max(now.getTime(), (migrations.at(-1)?.when ?? 0) + 1)
  const journalAt = join(at, 'meta/_journal.json')
  if (!existsSync(journalAt)) {
    // drizzle-kit 1.0: a folder for each migration, named by the second.
    const last = migrations.at(-1)
    const seconds = Math.max(when, (last?.when ?? 0) + 1_000)
    const folder = join(at, folderOf({ tag: `0000_${name}`, when: seconds }))
    const file = join(folder, 'migration.sql')
    if (dryRun) return file
    mkdirSync(folder)
    const snapshot = last && join(at, last.tag, 'snapshot.json')
    if (snapshot !== undefined && existsSync(snapshot)) {
      const { id, prevIds: _, ...same } = JSON.parse(readFileSync(snapshot, 'utf8')) as Record<string, unknown>
      // On PostgreSQL only the first is whole; each later one says what it changes in the tables.
      const { version, dialect } = same
      const unchanged = 'type' in same ? { type: 'diff', version, dialect, footprints: [], deltas: [] } : same
      writeJson(join(folder, 'snapshot.json'), { ...unchanged, id: randomUUID(), prevIds: [id] })
    }
    writeFileSync(file, sql)
    return file
  }
  const journal = JSON.parse(readFileSync(journalAt, 'utf8')) as Journal
  const previous = journal.entries.at(-1)
  const idx = (previous?.idx ?? -1) + 1
  const tag = `${numberOf(idx)}_${name}`
  const file = join(at, `${tag}.sql`)
  if (existsSync(file))
    throw new StorageError('CONFIG', `${file} is there already. Nothing was written. Give another --name.`)
  if (dryRun) return file
  const snapshots = readdirSync(join(at, 'meta'))
    .filter((each) => /^\d+_snapshot\.json$/.test(each))
    .sort()
  const latest = snapshots.at(-1)
  if (latest !== undefined) {
    const {
      id,
      prevId: _,
      ...same
    } = JSON.parse(readFileSync(join(at, 'meta', latest), 'utf8')) as Record<string, unknown>
    writeJson(join(at, 'meta', `${numberOf(idx)}_snapshot.json`), { ...same, id: randomUUID(), prevId: id })
  }
  writeFileSync(file, sql)
  journal.entries.push({ idx, version: previous?.version ?? '7', when, tag, breakpoints: true })
  writeJson(journalAt, journal)
  return file
}

const numberOf = (idx: number): string => String(idx).padStart(4, '0')
const writeJson = (file: string, value: object): void => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`)
