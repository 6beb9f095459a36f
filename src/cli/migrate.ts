import { resolve } from 'node:path'
import type { Command } from 'commander'
import { shownMigration } from '../migrator/app-ledger.ts'
import { FOREIGN } from '../migrator/ledger.ts'
import type { Migration } from '../migrator/migrations.ts'
import { ownMigrations } from '../migrator/own-migrations.ts'
import { lockText } from '../migrator/statement-locks.ts'
import * as migrator from '../open/migrate.ts'
import { appMigrationsAt, type OwnStatus, ownStatusAt } from '../transfer/tables.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import { addGenerate } from './migrate-generate.ts'
import { type Common, createdFileNote, databaseCommand, urlOf, waitOf } from './options.ts'
import { count, counted, type Outcome, report, seconds, withPageBar } from './output.ts'

interface UpFlags extends Common {
  /** `--backup FILE`; `--no-backup` is `false`. */
  backup?: string | boolean
  migrations?: string
}

interface RepairFlags extends UpFlags {
  dryRun?: boolean
}

interface OwnFlags extends Common {
  migrations?: string
}

interface AdoptFlags extends RepairFlags {
  quarantine?: string
}

const OWN = 'the application’s own migrations, too: the folder with sqlite and postgresql'

/** Default wait, in seconds: another process may be copying a large file and rebuilding its tables. */
const LONG_WAIT = { wait: 600 }

export function addMigrate(program: Command): void {
  const migrate = program
    .command('migrate')
    .description('Brings the schema of a database up to date, and says how it stands.')
    .helpCommand(false)
  copiesFirst(
    databaseCommand(migrate, 'up', LONG_WAIT).description(
      'Applies what is pending. A SQLite file is copied first; one of another program’s is adopted.',
    ),
  )
    .option('--migrations <folder>', OWN)
    .action((flags: UpFlags) => {
      const applied: migrator.Applied[] = []
      const soFar = () => ({ json: { applied }, text: applied.map(appliedText) })
      return report(flags, () => up(flags, applied), soFar)
    })
  databaseCommand(migrate, 'status')
    .description(
      'Says what is applied, what is pending, and whether the tables are as they should be. Changes nothing.',
    )
    .option('--migrations <folder>', OWN)
    .action((flags: OwnFlags) => report(flags, () => status(flags)))
  databaseCommand(migrate, 'plan')
    .description(
      'Prints the SQL that `up` would run; on PostgreSQL with what each statement locks, and for about how long. Changes nothing.',
    )
    .option('--migrations <folder>', OWN)
    .action((flags: OwnFlags) => report(flags, () => plan(flags)))
  addGenerate(migrate)
  copiesFirst(
    databaseCommand(migrate, 'adopt', LONG_WAIT)
      .description('Takes over a database that has the tables and no record of migrations, whichever program made it.')
      .option('--quarantine <file>', 'write rows that cannot be kept to this file, and go on without them')
      .option('--dry-run', 'say what would become of the rows, and change nothing'),
  ).action((flags: AdoptFlags) => report(flags, () => adopt(flags)))
  copiesFirst(
    databaseCommand(migrate, 'repair', LONG_WAIT)
      .description(
        'Makes triggers, indexes, keys and CHECKs again that the tables have lost. Cached paths are invalidated.',
      )
      .option('--dry-run', 'say what would be made again, and change nothing'),
    ', if a table is built anew',
  ).action((flags: RepairFlags) => report(flags, () => repair(flags)))
}

const copiesFirst = (of: Command, when = ''): Command =>
  of
    .option('--backup <file>', `copy the SQLite file to here first${when} (default: beside it)`)
    .option('--no-backup', 'do not copy the SQLite file first')

async function up(flags: UpFlags, applied: migrator.Applied[]): Promise<Outcome> {
  const onApplied = (each: migrator.Applied): void => void applied.push(each)
  const made = createdFileNote(urlOf(flags))
  const migrations = flags.migrations && resolve(flags.migrations)
  const done = await withProgress(flags, (options) => migrator.up(urlOf(flags), { ...options, migrations, onApplied }))
  return { json: done, text: [...made, ...upText(done)] }
}

const withProgress = <T>(flags: UpFlags, run: (options: migrator.UpOptions) => Promise<T>): Promise<T> =>
  withPageBar('Copying the file', (onBackup) => {
    const backup = typeof flags.backup === 'string' || flags.backup === false ? flags.backup : undefined
    return run({ busyTimeoutMs: waitOf(flags), backup, onBackup })
  })

function upText({ applied, backup, quarantine, adoption }: migrator.UpReport): string[] {
  return [
    ...(backup === undefined ? [] : [`Copied the file as it was to ${backup}.`]),
    ...(adoption === undefined ? [] : adoptionText(adoption, 'past')),
    ...(quarantine === undefined ? [] : [`The rows that were left out are in ${quarantine}.`]),
    ...applied.map(appliedText),
    ...(applied.length === 0 ? ['Nothing was pending.'] : []),
  ]
}

const appliedText = ({ tag, milliseconds }: migrator.Applied): string => `Applied ${tag} in ${seconds(milliseconds)}.`

async function status(flags: OwnFlags): Promise<Outcome> {
  const found = await migrator.inspect(urlOf(flags), waitOf(flags))
  // A database that is refused may have no ledger that can be read.
  const applied = await appMigrationsAt(urlOf(flags), waitOf(flags)).catch(() => [])
  const json = { ...found, ...(applied.length > 0 && { application: applied }) }
  if (flags.migrations === undefined)
    return {
      json,
      text: [...statusText(found), ...listed(OWN_APPLIED, applied.map(shownMigration))],
      exitCode: exitCodeFor(found),
    }
  const own = await ownStatusAt(urlOf(flags), resolve(flags.migrations), waitOf(flags))
  return {
    json: { ...json, ownMigrations: own },
    text: [...statusText(found, isDone(own)), ...ownText(own)],
    // The higher code asks for more: at 4 a person has to look, at 3 `up` is enough.
    exitCode: Math.max(exitCodeFor(found), exitCodeForOwn(own)),
  }
}

const OWN_APPLIED = "Applied of the application's own migrations"

const isDone = ({ problem, pending }: OwnStatus): boolean => problem === undefined && pending.length === 0

function exitCodeForOwn(own: OwnStatus): number {
  if (own.problem !== undefined) return exitCodeOf(own.problem.code)
  return isDone(own) ? EXIT.done : EXIT.pending
}

const ownText = ({ applied, pending, newer, problem }: OwnStatus): string[] => [
  ...(problem === undefined ? [] : [`${problem.code}: ${problem.message}`]),
  ...listed(OWN_APPLIED, applied),
  ...listed("Pending of the application's own migrations", pending),
  ...listed('Applied by a newer version of the application', newer),
]

function exitCodeFor({ state, problem, drift }: migrator.Status): number {
  if (problem !== undefined) return exitCodeOf(problem.code)
  if (drift !== undefined && drift.length > 0) return EXIT.person
  return state === 'current' ? EXIT.done : EXIT.pending
}

/** `isOwnDone`: the application's own migrations are applied, or were not asked for. */
function statusText(found: migrator.Status, isOwnDone = true): string[] {
  const { state, applied, pending, newer, foreign, problem, drift, others, adoption } = found
  const headline = {
    new: 'Nothing has been applied yet.',
    current: `Every migration${isOwnDone ? '' : ' of Meshstore'} is applied.`,
    pending: 'Migrations are pending.',
    adoptable: 'Another program made the file; meshstore migrate up adopts it.',
    refused: `${problem?.code}: ${problem?.message}`,
  }[state]
  return [
    headline,
    ...listed('Applied', applied),
    ...listed('Pending', pending),
    ...listed('Applied by a newer version, which this one can work with', newer),
    ...listed(`${FOREIGN} These are not ours`, foreign),
    ...(adoption === undefined ? [] : adoptionText(adoption, 'future')),
    ...adoptedText(found),
    ...driftText(found),
    ...(drift?.length === 0 && applied.length > 0 ? ['The tables are as their migrations made them.'] : []),
    ...listed('Also there, of others', others),
  ]
}

function adoptedText({ adopted }: migrator.Status): string[] {
  if (adopted === undefined) return []
  return listed(
    `Another program made the file; it was adopted at ${adopted.at.toISOString()}`,
    adopted.tables.map((table) => tableText('kept', table)),
  )
}

function driftText({ drift, applied, newer }: migrator.Status): string[] {
  if (drift === undefined) {
    if (applied.length === 0) return []
    return [
      `Whether the tables are as they should be was not found out: ${newer.length > 0 ? 'a newer version made them' : 'the role may not make temporary tables'}.`,
    ]
  }
  if (drift.length === 0) return []
  return listed('The tables are not as their migrations made them. Run meshstore migrate repair', linesOf(drift))
}

const linesOf = (differences: readonly migrator.Difference[]): string[] =>
  differences.map(({ table, kind, what }) => `${table}: ${kind === 'order' ? 'columns in the order' : kind} ${what}`)

const namesOf = (differences: readonly migrator.Difference[]): string[] =>
  differences.map(({ table, what }) => `${table}: ${what}`)

const listed = (title: string, items: readonly string[]): string[] =>
  items.length === 0 ? [] : [`${title}:`, ...items.map((item) => `  ${item}`)]

/** The application's own migrations that the database has not. The library's come first. */
async function ownPending(flags: OwnFlags, dialect: migrator.Status['dialect']): Promise<Migration[]> {
  if (flags.migrations === undefined) return []
  const applied = new Set((await appMigrationsAt(urlOf(flags), waitOf(flags))).map(({ when }) => when))
  return ownMigrations(resolve(flags.migrations), dialect).filter(({ when }) => !applied.has(when))
}

async function plan(flags: OwnFlags): Promise<Outcome> {
  const found = await migrator.inspect(urlOf(flags), waitOf(flags))
  const { state, problem, pending } = found
  const own = await ownPending(flags, found.dialect)
  const migrations = [...migrator.migrationsNamed(found.dialect, pending), ...own]
  const locks = await migrator.locksOfPending(urlOf(flags), migrations, waitOf(flags))
  const steps = migrations.map(({ tag, file, statements }) => {
    const texts = statements.map((statement) => statement.trim()).filter((text) => text !== '')
    const locked = locks.get(file)
    return { tag, file, statements: texts, ...(locked && { locks: locked.map((lock) => lock ?? null) }) }
  })
  return {
    json: {
      dialect: found.dialect,
      state,
      ...(problem && { problem }),
      ...(found.adoption && { adoption: found.adoption }),
      steps,
    },
    text: [
      ...(problem === undefined ? [] : [`-- ${problem.code}: ${problem.message}`]),
      ...(found.adoption === undefined ? [] : adoptionText(found.adoption, 'future').map((line) => `-- ${line}`)),
      ...steps.flatMap(({ file, statements, locks: locked }) => [
        `-- ${file}`,
        ...statements.flatMap((statement, at) => [...lockLines(locked?.[at]), statement]),
        '',
      ]),
      ...(steps.length === 0 && problem === undefined ? ['-- Nothing is pending.'] : []),
    ],
    exitCode: problem === undefined ? EXIT.done : exitCodeOf(problem.code),
  }
}

const lockLines = (lock: migrator.StatementLock | null | undefined): string[] => (lock ? [`-- ${lockText(lock)}`] : [])

async function adopt(flags: AdoptFlags): Promise<Outcome> {
  if (flags.dryRun) return preview(flags)
  const done = await withProgress(flags, (options) =>
    migrator.adopt(urlOf(flags), { ...options, quarantine: flags.quarantine }),
  )
  if (done.applied.length > 0) return { json: done, text: upText(done) }
  const text = [
    ...done.recorded.map((tag) => `Recorded ${tag}: the tables are as it makes them.`),
    ...listed('Made again', namesOf(done.repaired)),
    ...(done.recorded.length > 0 ? [] : ['The database has its record of migrations: there is nothing to take over.']),
    ...listed('Pending, for meshstore migrate up', done.pending),
  ]
  return { json: done, text, exitCode: done.pending.length > 0 ? EXIT.pending : EXIT.done }
}

async function repair(flags: RepairFlags): Promise<Outcome> {
  const { dryRun = false } = flags
  const done = await withProgress(flags, (options) => migrator.repair(urlOf(flags), { ...options, dryRun }))
  const { repaired, remaining, backup } = done
  const text = [
    ...(backup === undefined ? [] : [`Copied the file as it was to ${backup}.`]),
    ...listed(dryRun ? 'Would be made again' : 'Made again', namesOf(repaired)),
    ...listed('To be put right by hand', linesOf(remaining)),
    ...(repaired.length + remaining.length === 0 ? ['The tables are as their migrations made them.'] : []),
  ]
  const waiting = dryRun && repaired.length > 0 ? EXIT.pending : EXIT.done
  return { json: done, text, exitCode: remaining.length > 0 ? EXIT.person : waiting }
}

async function preview(flags: AdoptFlags): Promise<Outcome> {
  const found = await migrator.inspect(urlOf(flags), waitOf(flags))
  const { adoption } = found
  if (adoption === undefined || flags.quarantine === undefined) return status(flags)
  const refused = adoption.tables.reduce((sum, table) => sum + table.refused, 0)
  const text = [
    ...adoptionText(adoption, 'future'),
    ...(refused === 0 ? [] : [`Would write those that cannot be kept to ${flags.quarantine}.`]),
  ]
  return { json: { ...found, quarantine: flags.quarantine }, text, exitCode: EXIT.pending }
}

function adoptionText({ tables, problems, indexes }: migrator.AdoptionReport, tense: 'past' | 'future'): string[] {
  const verb = tense === 'past' ? 'Kept' : 'Would keep'
  return [
    ...tables.map((table) => tableText(verb, table)),
    ...problems.slice(0, SHOWN).map(problemText),
    ...(problems.length > SHOWN ? [`  … (--json has the first ${count(problems.length)})`] : []),
    ...(indexes.length > 0 ? [`Indexes of others: ${indexes.join(', ')}; they are made again.`] : []),
  ]
}

function tableText(verb: string, { table, kept, normalised, dropped, refused }: migrator.TableReport): string {
  const notes = [
    ...(normalised > 0 ? [`${count(normalised)} with 0 in place of NULL`] : []),
    ...(dropped > 0 ? [`${count(dropped)} dropped, whose key is ambiguous`] : []),
    ...(refused > 0 ? [`${count(refused)} that cannot be kept`] : []),
  ]
  return `${verb} ${counted(kept, 'row')} of ${table}${notes.length > 0 ? `; ${notes.join('; ')}` : ''}.`
}

const SHOWN = 20
function problemText({ table, rowid, key, column, message }: migrator.RowProblem): string {
  return `  ${table} row ${rowid}${key === undefined ? '' : ` (${JSON.stringify(key)})`}: ${column} ${message}`
}
