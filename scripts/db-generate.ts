/**
 * Writes both dialects' migrations under one number and name, and the whole schema into drizzle/*.sql.
 *
 * All or nothing: it works on a copy of migrations/.
 */
import { type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import Sqlite from 'better-sqlite3'
import { drizzleConfig } from '../src/drizzle-config.ts'
import { ALL_TABLES, OUR_TABLES, type Table } from '../src/schema/tables.ts'
import { postgresTriggersOf, sqliteTriggersOf } from '../src/schema/trigger-sql.ts'
import { logTriggers } from '../src/schema/triggers.ts'

const HELP = `npm run db:generate [-- OPTIONS]

Writes the migrations of both dialects after a change of src/schema, and what is made of them.

  --name add_region      their name, in lower-case words; without it only drizzle/*.sql is
                         written again
  --custom               empty ones, for SQL written by hand
  --breaking 'no k now'  marked with the reason: code of before must not open the database
                         afterwards
  --help`

interface Journal {
  entries: { tag: string; when: number }[]
}
interface Options {
  name?: string | undefined
  custom: boolean
  breaking?: string | undefined
  help: boolean
}

const BREAKPOINT = '--> statement-breakpoint'
const root = join(import.meta.dirname, '..')
const schemas = { sqlite: drizzleConfig('sqlite:').schema, postgresql: drizzleConfig('postgres:').schema }
type Dialect = keyof typeof schemas
const dialects: readonly Dialect[] = ['sqlite', 'postgresql']

/** Said without a stack. */
class Refusal extends Error {}

async function main(): Promise<void> {
  const options = readOptions()
  if (options.help) {
    console.log(HELP)
    return
  }
  const scratch = mkdtempSync(join(tmpdir(), 'db-generate-'))
  try {
    cpSync(join(root, 'migrations'), scratch, { recursive: true })
    checkTwins(scratch)
    const tag = await addMigrations(scratch, options)
    const exports = await Promise.all(
      dialects.map(async (dialect) => [dialect, await wholeSchema(dialect, scratch)] as const),
    )

    cpSync(scratch, join(root, 'migrations'), { recursive: true })
    for (const [dialect, sql] of exports) writeFileSync(join(root, `drizzle/${dialect}.sql`), sql)
    writeGrants()
    console.log(
      tag ? `Wrote migrations/{${dialects}}/${tag}.sql.` : 'The schema has not changed: no migration is needed.',
    )
    console.log(`Wrote drizzle/{${dialects}}.sql.`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        name: { type: 'string' },
        custom: { type: 'boolean', default: false },
        breaking: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.name !== undefined && !/^[a-z0-9]+(_[a-z0-9]+)*$/.test(values.name))
      throw new Error('--name takes lower-case words joined by underscores, such as add_region.')
    if (values.custom && values.name === undefined) throw new Error('--custom needs a --name.')
    if (values.breaking !== undefined && values.name === undefined) throw new Error('--breaking needs a --name.')
    if (values.breaking?.trim() === '') throw new Error('--breaking needs a reason, for those who run older code.')
    return values
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new Refusal(`${message.replace(/\.?$/, '.')} See --help.`)
  }
}

/** Adds one to each dialect, under the same tag, and returns it; undefined when there was nothing to add. */
async function addMigrations(folder: string, options: Options): Promise<string | undefined> {
  const { name, custom, breaking } = options
  const unlogged = tablesWithoutTriggers(folder)
  const results = await Promise.all(dialects.map((dialect) => generate(dialect, folder, name ?? 'unnamed')))
  // If the schema cannot be loaded, this says so.
  if (results.includes('unfinished')) await Promise.all(dialects.map(exportSchema))
  const changed = dialects.filter((_, i) => results[i] !== 'unchanged')
  if (changed.length === 0 && !custom && unlogged.length === 0) {
    if (breaking === undefined) return undefined
    throw new Refusal('The schema has not changed: there is nothing to mark. Use --custom for a migration of its own.')
  }

  const what = `The ${changed.join(' and ')} schema changed`
  if (name === undefined) throw new Refusal(`${what}. Name the migration: npm run db:generate -- --name add_region`)
  if (changed.length > 0 && custom) throw new Refusal(`${what}: generate its migration first, without --custom.`)

  for (const [i, dialect] of dialects.entries()) {
    if (results[i] === 'unfinished') await generateInTerminal(dialect, folder, name)
    if (results[i] === 'unchanged') await generateEmpty(dialect, folder, name, custom)
    dateBehind(dialect, folder)
    if (dialect === 'sqlite') keepTriggers(folder)
    for (const table of unlogged) append(dialect, folder, ...triggersOf(dialect, table))
    addNotes(dialect, folder, breaking)
  }
  checkTwins(folder)
  return tags(folder, 'sqlite').at(-1)
}

/** Unfinished: it failed, or has a question to ask, such as whether a column is new or was renamed. */
async function generate(dialect: Dialect, folder: string, name: string): Promise<'added' | 'unchanged' | 'unfinished'> {
  const before = tags(folder, dialect).length
  const said = await drizzleKit(folder, generateArgs(dialect, name), 'quiet')
  if (tags(folder, dialect).length > before) return 'added'
  return said.includes('No schema changes') ? 'unchanged' : 'unfinished'
}

async function generateInTerminal(dialect: Dialect, folder: string, name: string): Promise<void> {
  const before = tags(folder, dialect).length
  await drizzleKit(folder, generateArgs(dialect, name), 'terminal')
  if (tags(folder, dialect).length === before)
    throw new Refusal(`drizzle-kit wrote no migration for ${dialect}. Its message is above. Nothing was changed.`)
}

async function generateEmpty(dialect: Dialect, folder: string, name: string, custom: boolean): Promise<void> {
  await drizzleKit(folder, [...generateArgs(dialect, name), '--custom'], 'errors')
  const comment = custom ? `Write the SQL for ${dialect} here.` : 'Nothing changes here.'
  // SELECT, because better-sqlite3 refuses to run a text that holds no statement.
  writeFileSync(join(folder, dialect, `${tags(folder, dialect).at(-1)}.sql`), `-- ${comment}\nSELECT 1;\n`)
}

/**
 * A table that is built anew loses its triggers, and those of others that name it keep it from being renamed: the migration
 * drops them all first, and makes them again at its end. For drizzle-kit does not know of triggers.
 */
function keepTriggers(folder: string): void {
  const [added = '', ...before] = tags(folder, 'sqlite')
    .toReversed()
    .map((tag) => join(folder, 'sqlite', `${tag}.sql`))
  using scratch = new Scratch()
  for (const file of before.toReversed()) scratch.apply(readFileSync(file, 'utf8'))
  const triggers = scratch.triggers()
  const sql = readFileSync(added, 'utf8').trimEnd()
  if (scratch.keeps(triggers, sql)) return
  const drops = triggers.map(({ name }) => `DROP TRIGGER ${name};`)
  const parts = [...drops, sql, ...triggers.map((trigger) => `${trigger.sql};`)]
  writeFileSync(added, `${parts.join(`\n${BREAKPOINT}\n`)}\n`)
}

/** Tables to which no migration gives the triggers of the change log. */
function tablesWithoutTriggers(folder: string): Table[] {
  using scratch = new Scratch()
  for (const tag of tags(folder, 'sqlite')) scratch.apply(readFileSync(join(folder, 'sqlite', `${tag}.sql`), 'utf8'))
  const made = scratch.triggers().map(({ name }) => name)
  return ALL_TABLES.filter((table) => !logTriggers(table).some((name) => made.includes(name)))
}

const triggersOf = (dialect: Dialect, table: Table): readonly string[] =>
  dialect === 'sqlite' ? sqliteTriggersOf(table) : [postgresTriggersOf(table)]

/** Adds statements to the newest migration. */
function append(dialect: Dialect, folder: string, ...statements: readonly string[]): void {
  const file = join(folder, dialect, `${tags(folder, dialect).at(-1)}.sql`)
  const parts = [readFileSync(file, 'utf8').trimEnd(), ...statements.map((sql) => `${sql};`)]
  writeFileSync(file, `${parts.join(`\n${BREAKPOINT}\n`)}\n`)
}

/** The role of an application may read and write the rows of every table. */
function writeGrants(): void {
  const file = join(root, 'drizzle/postgresql-grants.sql')
  const tables = OUR_TABLES.map((name) => `public.${name}`).join(',\n    ')
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(/(?<=\n {2}ON TABLE )[^;]*(?=\n {2}TO meshstore_app;)/, tables),
  )
}

class Scratch {
  readonly #db = new Sqlite(':memory:')

  apply(sql: string): void {
    for (const statement of sql.split(BREAKPOINT)) this.#db.exec(statement)
  }

  triggers(): { name: string; sql: string }[] {
    const query = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid"
    return this.#db.prepare<[], { name: string; sql: string }>(query).all()
  }

  keeps(triggers: readonly { name: string }[], sql: string): boolean {
    try {
      this.apply(sql)
    } catch {
      // If it is not for the triggers, the tests that apply it say so.
      return triggers.length === 0
    }
    const left = new Set(this.triggers().map(({ name }) => name))
    return triggers.every(({ name }) => left.has(name))
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

/**
 * SQL, so that the notes are in the database whichever program applies the file. Older code finds a name there that it does
 * not know: without one it would take the ledger's row for that of another program's migration.
 */
function addNotes(dialect: Dialect, folder: string, breaking: string | undefined): void {
  const added = readJournal(folder, dialect).entries.at(-1)
  if (added === undefined) return
  const { tag, when } = added
  const file = join(folder, dialect, `${tag}.sql`)
  const note = (name: string, value: string): string =>
    `${BREAKPOINT}\nINSERT INTO meshstore_state (name, value, updated_at) VALUES ('${name}', '${value}', 0);\n`
  const mark = breaking === undefined ? '' : note(`breaking:${tag}`, breaking.replaceAll("'", "''"))
  writeFileSync(file, `${readFileSync(file, 'utf8').trimEnd()}\n${note(`migration:${when}`, tag)}${mark}`)
}

/**
 * drizzle-kit migrate skips what is dated before the last one applied: clocks go back, and branches get merged. Whole
 * seconds: drizzle-kit 1.0 drops the rest, and 0.31 would then apply the last one again.
 */
function dateBehind(dialect: Dialect, folder: string): void {
  const journal = readJournal(folder, dialect)
  const [added, previous] = journal.entries.toReversed()
  if (added === undefined) return
  const second = (time: number): number => Math.floor(time / 1_000) * 1_000
  added.when = Math.max(second(added.when), second(previous?.when ?? 0) + 1_000)
  writeFileSync(journalPath(folder, dialect), JSON.stringify(journal, null, 2))
}

function generateArgs(dialect: Dialect, name: string): string[] {
  return ['generate', '--dialect', dialect, '--schema', schemas[dialect], '--out', dialect, '--name', name]
}

async function exportSchema(dialect: Dialect): Promise<string> {
  const sql = await drizzleKit(root, ['export', '--dialect', dialect, '--schema', schemas[dialect]], 'errors')
  if (!sql.includes('CREATE TABLE'))
    throw new Refusal(`drizzle-kit exported no ${dialect} schema. Its message is above. Nothing was changed.`)
  return `${sql.replaceAll('\r\n', '\n').trimEnd()}\n`
}

/** Tables and indexes by drizzle-kit, then the triggers and functions that the migrations leave: drizzle-kit knows none. */
async function wholeSchema(dialect: Dialect, folder: string): Promise<string> {
  const migrations = tags(folder, dialect).map((tag) => readFileSync(join(folder, dialect, `${tag}.sql`), 'utf8'))
  const triggers = dialect === 'sqlite' ? sqliteTriggers(migrations) : postgresTriggers(migrations)
  return `${[await exportSchema(dialect), ...triggers].join('\n')}\n`
}

function sqliteTriggers(migrations: readonly string[]): string[] {
  using scratch = new Scratch()
  for (const sql of migrations) scratch.apply(sql)
  return scratch.triggers().map(({ sql }) => `${sql};`)
}

/** In order: a later migration may replace what an earlier one made. */
const BY_HAND = /^\s*(--.*\s+)*(DO|(CREATE|DROP)( OR REPLACE)? (FUNCTION|TRIGGER))\b/i
const postgresTriggers = (migrations: readonly string[]): string[] =>
  migrations
    .flatMap((sql) => sql.split(BREAKPOINT))
    .filter((statement) => BY_HAND.test(statement))
    .map((statement) => statement.trim())

const terminals = {
  quiet: ['ignore', 'pipe', 'ignore'],
  errors: ['ignore', 'pipe', 'inherit'],
  terminal: 'inherit',
} satisfies Record<string, StdioOptions>

/** Returns its output. It exits with 0 after most errors, too: the caller has to look at what it did. */
async function drizzleKit(cwd: string, args: string[], terminal: keyof typeof terminals): Promise<string> {
  const bin = join(root, 'node_modules/drizzle-kit/bin.cjs')
  const child = spawn(process.execPath, [bin, ...args], { cwd, stdio: terminals[terminal] })
  const [printed] = await Promise.all([child.stdout ? text(child.stdout) : '', once(child, 'close')])
  return printed
}

function checkTwins(folder: string): void {
  const [sqlite, postgresql] = dialects.map((dialect) => tags(folder, dialect).join(', '))
  if (sqlite !== postgresql)
    throw new Refusal(`The migrations are no twins.\nsqlite: ${sqlite}\npostgresql: ${postgresql}`)
}

const tags = (folder: string, dialect: Dialect): string[] => readJournal(folder, dialect).entries.map(({ tag }) => tag)

const readJournal = (folder: string, dialect: Dialect): Journal =>
  JSON.parse(readFileSync(journalPath(folder, dialect), 'utf8'))

const journalPath = (folder: string, dialect: Dialect): string => join(folder, dialect, 'meta/_journal.json')

try {
  await main()
} catch (error) {
  console.error(error instanceof Refusal ? error.message : error)
  process.exitCode = 1
}
