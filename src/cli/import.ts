import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import { isError, StorageError } from '../errors.ts'
import * as transfer from '../transfer/index.ts'
import { EXIT } from './exit-codes.ts'
import { type Common, createdFileNote, databaseCommand, urlOf, waitOf } from './options.ts'
import { count, counted, type Outcome, progressBar, report, SHOWN } from './output.ts'

interface ImportFlags extends Common {
  dryRun?: boolean
  onConflict: transfer.OnConflict
  skipRefused?: boolean
}

const IMPORT_HELP = `
FILE is an export of meshstore, or one NetJSON NetworkGraph, of which the nodes
are imported; - is stdin. A SQLite file that is missing is created. Rows of own
tables are imported into tables that the application's migrations have made.

The whole file is read and judged first, in constant memory with the help of a
temporary file. Then it is written in one transaction: all of it or nothing. On
SQLite other processes that write wait meanwhile, as long as they are willing
to.

Each line that is refused is named on stderr. If there is one, nothing is
imported; with --skip-refused the others are. The exit code is 4 in both cases.
A file that was cut off counts as one with such a line: with --skip-refused what
there is of it is imported.

--dry-run writes nothing: it does not see what a constraint of the database
would refuse.

--on-conflict decides about a line whose key is in the database, or earlier in
the file. With error the line is refused. With skip the first row stays. With
replace the last line counts, with its times. From a NetworkGraph, replace keeps
times of creation and routes.`

export function addImport(program: Command): void {
  databaseCommand(program, 'import <file>')
    .description('Reads what `export` wrote, or a NetJSON NetworkGraph.')
    .option('--dry-run', 'say what would become of each line, and change nothing')
    .addOption(
      new Option('--on-conflict <how>', 'what becomes of a line whose key exists')
        .choices(['error', 'skip', 'replace'])
        .default('error'),
    )
    .option('--skip-refused', 'import the lines that are not refused')
    .addHelpText('after', IMPORT_HELP)
    .action((file: string, flags: ImportFlags) => report(flags, () => runImport(file, flags)))
}

async function runImport(file: string, flags: ImportFlags): Promise<Outcome> {
  const { dryRun = false, onConflict, skipRefused = false } = flags
  const url = urlOf(flags)
  const made = createdFileNote(url)
  const refused: transfer.Refusal[] = []
  let problems = 0
  using reading = progressBar('Reading')
  using writing = progressBar(dryRun ? 'Comparing' : 'Writing')
  const done = await transfer.importInto(url, await bytesOf(file, reading.update), {
    dryRun,
    onConflict,
    skipRefused,
    busyTimeoutMs: waitOf(flags),
    now: () => new Date(),
    onRows: ({ done, total }) => {
      reading.stop()
      writing.update(done, total)
    },
    onRefused: (refusal) => {
      problems++
      if (refused.length < SHOWN) refused.push(refusal)
      reading.stop()
      writing.stop()
      process.stderr.write(`${refusalText(refusal)}\n`)
    },
  })
  const { json, text, exitCode } = imported(done, { refused, problems, onConflict })
  return { json, text: [...(done.imported && !dryRun ? made : []), ...text], exitCode: exitCode ?? EXIT.done }
}

async function bytesOf(file: string, onRead: (done: number, total: number) => void): Promise<AsyncIterable<Buffer>> {
  if (file === '-') return process.stdin
  const stats = await stat(file).catch(() => undefined)
  if (stats === undefined)
    throw new StorageError('CONFIG', `There is no file at ${file}. Check the path and the current folder.`)
  if (stats.isDirectory()) throw new StorageError('CONFIG', `${file} is a folder. Name a file in it.`)
  return readAll(file, (done) => onRead(done, Math.max(done, stats.size)))
}

async function* readAll(file: string, onRead: (done: number) => void): AsyncGenerator<Buffer> {
  let done = 0
  try {
    for await (const chunk of createReadStream(file)) {
      yield chunk
      done += chunk.length
      onRead(done)
    }
  } catch (error) {
    if (!(isError(error) && 'syscall' in error)) throw error
    throw new StorageError('CONFIG', `${file} cannot be read. Check its owner and mode.`, { cause: error })
  }
}

function refusalText({ line, table, key, column, message }: transfer.Refusal): string {
  const row = table === undefined ? '' : ` (${table}${key === undefined ? '' : ` ${JSON.stringify(key)}`})`
  return `line ${line}${row}: ${column === '' ? '' : `${column} `}${message}`
}

function imported(
  done: transfer.ImportReport,
  {
    refused,
    problems,
    onConflict,
  }: { refused: readonly transfer.Refusal[]; problems: number; onConflict: transfer.OnConflict },
): Outcome {
  const { dryRun } = done
  const text = Object.entries(done.rows).flatMap(([table, rows]) => {
    const words = [
      ...(rows.added > 0 ? [`${count(rows.added)} added`] : []),
      ...(rows.replaced > 0 ? [`${count(rows.replaced)} replaced`] : []),
      ...(rows.skipped > 0 ? [`${count(rows.skipped)} left as they are`] : []),
      ...(rows.repeated > 0 ? [`${count(rows.repeated)} twice in the file`] : []),
    ]
    return words.length === 0 ? [] : [`${table}: ${words.join(', ')}`]
  })
  // A NetworkGraph is one document: count its problems, not its lines.
  const what = done.format === 'netjson' ? counted(problems, 'problem') : `${counted(done.refused, 'line')} refused`
  const none = done.imported
    ? []
    : [
        'Nothing is imported. Correct them, or leave them out with --skip-refused.',
        ...(onConflict === 'error' ? ['For keys that are there already: --on-conflict skip, or replace.'] : []),
      ]
  return {
    json: { ...done, refusals: refused },
    text: [
      ...(dryRun ? ['What would become of it; nothing was changed:'] : []),
      ...(done.imported || dryRun ? (text.length > 0 ? text : ['No rows.']) : []),
      ...(done.refused > 0 ? [`${what}.`, ...none] : []),
    ],
    exitCode: done.refused > 0 ? EXIT.person : EXIT.done,
  }
}
