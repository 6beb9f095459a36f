import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import type { PostgresTarget } from '../database/postgres/url.ts'
import type { SqliteDatabase } from '../database/sqlite/sqlite-database.ts'
import { StorageError } from '../errors.ts'
import type { MovePlan } from '../move/live/plan.ts'
import { configOf, databaseOf, successorOf } from '../open/config.ts'
import { openTarget } from '../open/open.ts'
import { EXIT } from './exit-codes.ts'
import { Interrupted, interruptible } from './interrupt.ts'
import { moveBars, planText, reportText, resumeError, statusText } from './move-texts.ts'
import { command, IGNORE_OTHERS, leftBehindText, urlFrom, waitOf, wholeNumber, withWait } from './options.ts'
import { count, type Outcome, report } from './output.ts'

interface MoveFlags {
  from?: string
  to?: string
  json?: boolean
  yes?: boolean
  wait: number
  maxPause: number
  dryRun?: boolean
  ignoreOtherTables?: boolean
  resume?: boolean
  abort?: boolean
  status?: boolean
}

const millisecondsOf = wholeNumber(1, 3_600_000, 'Give a whole number of milliseconds, from 1.')

const HELP = `
Copies the file's rows while applications go on reading and writing, and follows
their writes. Then it compares everything, and switches in one transaction of
the file (cutover). From then on the data is in PostgreSQL, and the file refuses
writes. Writers wait for no longer than --max-pause; if that would not do, they
go on, and the switch is tried again.

Applications that have the file open with the option successor go on with
PostgreSQL by themselves; all others get MOVED, and want the new URL.

It can be killed at any point: --resume goes on, --abort leaves the file as it
was.

The application's own tables are moved, by what the file says of them. The
application's migrations make them in the target: apply these first. Other
tables, and columns that were added, are not moved. If they have rows, they are
named and nothing is moved; the exit code is 4. --ignore-other-tables leaves
them behind.`

export function addMove(program: Command): void {
  const described = command(program, 'move')
    .description('Moves everything from a SQLite file to PostgreSQL, while applications use it.')
    .option('--from <url>', 'the file: sqlite:<path>, or a path (default: $DATABASE_URL)')
    .option('--to <url>', 'the database to move to: postgres://…, without a pooler in between')
    .option('--dry-run', 'look at every row and at the target, and change nothing')
    .option('--resume', 'go on with a move that was stopped')
    .option('--abort', 'give up a move before its switch: the file is as it was, the target is emptied')
    .option('--status', 'say how far a move has come; with --to, also what the target says')
    .option('--max-pause <ms>', 'how long writers may be held up, in milliseconds', millisecondsOf, 250)
    .option(...IGNORE_OTHERS)
    .option('--yes', 'do not ask')
  withWait(described)
    .addHelpText('after', HELP)
    .action((flags: MoveFlags) => report(flags, () => run(flags)))
}

async function run(flags: MoveFlags): Promise<Outcome> {
  const { dryRun, resume, abort, status } = flags
  const from = urlFrom(flags.from, 'Which file? Give --from')
  if ([dryRun, resume, abort, status].filter(Boolean).length > 1)
    throw new StorageError('CONFIG', 'Give one of --dry-run, --resume, --abort and --status.')
  const file = await open(from, waitOf(flags))
  try {
    if (status) return await showStatus(file, flags)
    if (abort) return await abortMoveOf(file, flags)
    return await move(file, flags)
  } finally {
    await file.close()
  }
}

async function open(url: string, busyTimeoutMs: number): Promise<SqliteDatabase> {
  const source = databaseOf(url)
  if (source.dialect !== 'sqlite' || source.path === ':memory:' || !existsSync(source.path))
    throw new StorageError(
      'CONFIG',
      'There is no such SQLite file. Check the path. Data moves from SQLite to PostgreSQL; use meshstore copy for the other way.',
    )
  const { openSqlite } = await import('../open/sqlite.ts')
  return openSqlite(source.path, configOf({ url, migrate: 'check', busyTimeoutMs }))
}

function targetOf({ to }: MoveFlags): { url: string; target: PostgresTarget } {
  if (to === undefined) throw new StorageError('CONFIG', 'Where to? Give --to postgres://….')
  return { url: to, target: successorOf(to) }
}

async function move(file: SqliteDatabase, flags: MoveFlags): Promise<Outcome> {
  const { url, target: to } = targetOf(flags)
  const busyTimeoutMs = waitOf(flags)
  const moved = file.movedTo()
  if (moved !== undefined) return finished(file, moved.id, to, flags)
  const { checkMove, moveLive } = await import('../move/live/index.ts')
  const { planOf } = await import('../move/live/plan.ts')
  const { assertEmpty } = await import('../move/preflight.ts')
  const plan = await planOf(file, url, to, busyTimeoutMs)
  if (plan.resumes !== (flags.resume === true)) throw resumeError(plan)
  using bars = moveBars()
  const options = {
    maxPauseMs: flags.maxPause,
    ignoreOtherTables: flags.ignoreOtherTables,
    onProgress: bars.show,
  }
  if (flags.dryRun) {
    const { leftBehind } = await checkMove({ file, url, busyTimeoutMs, options })
    if (!plan.resumes) await assertEmpty(url, busyTimeoutMs)
    return {
      json: { dryRun: true, ...plan },
      text: [...planText(plan), 'Every row can live there. Nothing was changed.', ...leftBehindText(leftBehind)],
    }
  }
  if (!(await confirmed(plan, flags))) return DECLINED
  const work = (signal: AbortSignal) => moveLive({ file, url, to, busyTimeoutMs, options: { ...options, signal } })
  const report = await interruptible('Stopped.', work).catch(stopped(file))
  return { json: report, text: reportText(report, plan) }
}

const DECLINED: Outcome = { json: { state: 'declined' }, text: ['Nothing was changed.'], exitCode: EXIT.failed }

/** Reports where the data is after a move was stopped. */
const stopped =
  (file: SqliteDatabase) =>
  async (error: unknown): Promise<never> => {
    if (!(error instanceof Interrupted)) throw error
    const { statusOf } = await import('../move/live/plan.ts')
    const { state } = await statusOf(file, undefined, 0)
    const stateOfFile =
      state === 'none'
        ? 'Nothing was changed.'
        : `${file.path} serves as before. Go on with --resume, or give it up with --abort.`
    throw new Interrupted(error.signal, `Stopped before the switch. ${stateOfFile}`)
  }

/** Asks on a terminal whether to begin the move. */
async function confirmed(plan: MovePlan, { yes, json, maxPause }: MoveFlags): Promise<boolean> {
  const words = [
    ...planText(plan),
    'Then  it is copied, followed and compared while applications go on.',
    `      For the switch, writers wait for at most ${count(maxPause)} ms. From then on the file refuses writes.`,
  ]
  if (!json) process.stderr.write(words.map((line) => `${line}\n`).join(''))
  if (yes) return true
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new StorageError(
      'CONFIG',
      'There is no terminal to ask you. Nothing was changed. Look with --dry-run first, then give --yes.',
    )
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question('Move it? [y/N] ')).trim())
  } catch {
    // Ctrl+C and Ctrl+D leave the cursor behind the question.
    process.stderr.write('\n')
    return false
  } finally {
    terminal.close()
  }
}

/** Records the success of a mover that was killed after the cutover. */
async function finished(file: SqliteDatabase, id: string, to: PostgresTarget, flags: MoveFlags): Promise<Outcome> {
  const { assertArrived } = await import('../move/live/handover.ts')
  const config = configOf({ url: String(flags.to), migrate: 'skip', busyTimeoutMs: waitOf(flags), pool: { max: 1 } })
  const database = await openTarget(to, config)
  try {
    await assertArrived(database, id, { readOnly: flags.dryRun === true, now: config.now })
  } finally {
    await database.close()
  }
  const { placeOf } = await import('../database/postgres/url.ts')
  return {
    json: { state: 'moved', id, to: placeOf(to) },
    text: [
      `The data of ${file.path} has moved to PostgreSQL at ${placeOf(to)} (move ${id}): there is nothing more to do.`,
    ],
  }
}

async function abortMoveOf(file: SqliteDatabase, flags: MoveFlags): Promise<Outcome> {
  const { abortMove } = await import('../move/live/index.ts')
  const to = flags.to === undefined ? undefined : targetOf(flags).target
  const { id, to: name } = await abortMove(file, to, waitOf(flags))
  const emptied = to !== undefined
  return {
    json: { aborted: id, to: name, emptied },
    text: [
      `Gave up move ${id}: ${file.path} is as it was.`,
      emptied
        ? `What had been copied to ${name} is deleted.`
        : `What had been copied to ${name} is still there: without --to it was not asked.`,
    ],
  }
}

async function showStatus(file: SqliteDatabase, flags: MoveFlags): Promise<Outcome> {
  const { statusOf } = await import('../move/live/plan.ts')
  const to = flags.to === undefined ? undefined : targetOf(flags).target
  const status = await statusOf(file, to, waitOf(flags))
  return { json: { from: file.path, ...status }, text: statusText(file.path, status), exitCode: EXIT.done }
}
