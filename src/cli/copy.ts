import type { Command } from 'commander'
import type { CopyProgress, CopyReport, RefusedRow } from '../api.ts'
import { copyDatabase } from '../move/index.ts'
import { EXIT } from './exit-codes.ts'
import { interruptible } from './interrupt.ts'
import { command, IGNORE_OTHERS, leftBehindText, urlFrom, waitOf, withWait } from './options.ts'
import { count, counted, type Outcome, printable, progressBars, report, rowsText, SHOWN } from './output.ts'

interface CopyFlags {
  from?: string
  to: string
  json?: boolean
  wait: number
  dryRun?: boolean
  skipCache?: boolean
  quarantine?: string
  ignoreOtherTables?: boolean
}

const HELP = `
From SQLite to PostgreSQL, back, or between two of a kind. The source is read as
of one moment; what others write to it meanwhile is not copied: stop the
application first. The target is created if it is a SQLite file, and brought up
to date; it must have no rows. Its rows are written in one transaction, and
compared with what was read before that is committed: whatever happens, all of
it is there or nothing.

Rows that cannot live in the target, because another program wrote them past the
rules, are named on stderr before anything is changed. Then nothing is copied,
and the exit code is 4; with --quarantine they are written to a file, and the
others are copied.

The application's own tables are copied, by what the source says of them. The
application's migrations make them in the target: apply these first. Other
tables, and columns that were added, are not copied. If they have rows, they are
named and nothing is copied; the exit code is 4. --ignore-other-tables leaves
them behind.`

export function addCopy(program: Command): void {
  const described = command(program, 'copy')
    .description('Copies everything from one database into another, empty one, and compares the two.')
    .option('--from <url>', 'the database to copy: sqlite:<path>, a path, or postgres://… (default: $DATABASE_URL)')
    .requiredOption('--to <url>', 'the database to copy into')
    .option('--dry-run', 'look at everything, and change nothing')
    .option('--skip-cache', 'leave out the cached paths: they are computed anew')
    .option('--quarantine <file>', 'write rows that cannot live in the target to this file, and go on without them')
    .option(...IGNORE_OTHERS)
  withWait(described)
    .addHelpText('after', HELP)
    .action((flags: CopyFlags) => {
      const refused: RefusedRow[] = []
      return report(
        flags,
        () => run(flags, refused),
        () => ({ json: { refusedRows: refused }, text: [] }),
      )
    })
}

async function run(flags: CopyFlags, refused: RefusedRow[]): Promise<Outcome> {
  const { to, dryRun = false, skipCache = false, quarantine } = flags
  const from = urlFrom(flags.from, 'From which database? Give --from')
  using bars = progressBars<CopyProgress['step']>({
    checking: ['Checking'],
    copying: ['Copying'],
    comparing: ['Comparing'],
  })
  const copied = (signal: AbortSignal) =>
    copyDatabase(from, to, {
      signal,
      dryRun,
      skipCache,
      quarantine,
      ignoreOtherTables: flags.ignoreOtherTables,
      busyTimeoutMs: waitOf(flags),
      // Counting the rows takes time: do it only for a terminal.
      onProgress: process.stderr.isTTY ? bars.show : undefined,
      onRefused: (row) => {
        if (refused.length < SHOWN) refused.push(row)
        bars.stop()
        process.stderr.write(`${printable(`${row.table} ${row.key}: ${row.column} ${row.message}`)}\n`)
      },
    })
  const done = await interruptible('Stopped. Nothing was copied.', copied)
  return outcomeOf(done, refused, quarantine)
}

const NAMES = { sqlite: 'SQLite', postgresql: 'PostgreSQL' }

function outcomeOf(done: CopyReport, refusedRows: readonly RefusedRow[], quarantine: string | undefined): Outcome {
  const { dryRun, from, to, tables, ownTables = {}, migrated } = done
  const copied = [...Object.values(tables), ...Object.values(ownTables)]
  const refused = copied.reduce((sum, table) => sum + (table?.refused ?? 0), 0)
  const stopped = refused > 0 && quarantine === undefined
  return {
    json: { ...done, refusedRows },
    text: [
      `${dryRun ? 'Would copy' : 'Copied'} ${rowsText(tables, ownTables)} from ${NAMES[from]} to ${NAMES[to]}.${dryRun ? '' : ' Compared: all of it has arrived.'}`,
      ...leftBehindText(done.leftBehind),
      ...migrated.map((tag) => `Applied ${tag} to the target.`),
      ...(done.quarantine === undefined
        ? []
        : [`${count(refused)} that cannot live there ${dryRun ? 'would be' : 'are'} in ${done.quarantine}.`]),
      ...(stopped
        ? [`But ${counted(refused, 'row')} cannot live there: correct or delete them, or copy with --quarantine FILE.`]
        : []),
    ],
    exitCode: stopped ? EXIT.person : EXIT.done,
  }
}
