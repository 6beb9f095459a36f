import type { Command } from 'commander'
import { StorageError } from '../errors.ts'
import * as transfer from '../transfer/index.ts'
import { EXIT } from './exit-codes.ts'
import { interruptible } from './interrupt.ts'
import { type Common, databaseCommand, IGNORE_OTHERS, leftBehindText, urlOf, waitOf } from './options.ts'
import { count, counted, type Outcome, progressBar, report, SHOWN } from './output.ts'

interface ExportFlags extends Common {
  output?: string
  table?: string[]
  skipInvalid?: boolean
  ignoreOtherTables?: boolean
}

const EXPORT_HELP = `
A consistent snapshot, while others read and write. It has a header, a line for
each row in the order of the keys, and a last line with the number of rows. An
import refuses a file without that line. Expired paths are in it too. Times are
the stored numbers to the last bit; bundles are texts, byte for byte. Two
databases that hold the same, on SQLite or PostgreSQL, make the same file: lists
are spaced in one way.

A row that breaks the rules, because another program wrote it, is named on
stderr. Then the export is not completed (no file, no last line) and the exit
code is 4, unless --skip-invalid says that it is complete without such rows.

The application's own tables are exported, by what the database says of them.
Other tables, and columns that were added, are not. If they have rows, they are
named and nothing is exported; the exit code is 4. --ignore-other-tables leaves
them behind.`

export function addExport(program: Command): void {
  databaseCommand(program, 'export')
    .description('Writes nodes, policies, cached paths and own tables as lines of JSON (NDJSON).')
    .option('-o, --output <file>', 'to this file, which must not exist (default: stdout)')
    .option('--table <name...>', 'these tables alone: nodes, policies, path_cache, or own tables', tablesOf)
    .option('--skip-invalid', 'leave out rows that break the rules, and complete the export')
    .option(...IGNORE_OTHERS)
    .addHelpText('after', EXPORT_HELP)
    .action((flags: ExportFlags) => report(flags, () => runExport(flags)))
}

/** The database knows the names of own tables. `inspect` calls one table `paths`, too. */
const tablesOf = (given: string, before: readonly string[] = []): string[] => [
  ...before,
  given === 'paths' ? 'path_cache' : given,
]

async function runExport(flags: ExportFlags): Promise<Outcome> {
  const { skipInvalid = false, table } = flags
  const file = flags.output === '-' ? undefined : flags.output
  if (file === undefined && flags.json)
    throw new StorageError('CONFIG', 'The rows go to stdout. Name a file with --output to use --json.')
  const url = urlOf(flags)
  using bar = progressBar('Exporting')
  const output = file === undefined ? transfer.streamOutput(process.stdout) : await transfer.fileOutput(file)
  const invalid: transfer.InvalidRow[] = []
  const exporting = (to: transfer.Output) =>
    transfer.exportTo(url, to, {
      tables: table,
      skipInvalid,
      ignoreOtherTables: flags.ignoreOtherTables,
      busyTimeoutMs: waitOf(flags),
      onProgress: process.stderr.isTTY ? ({ done, total }) => bar.update(done, total) : undefined,
      onInvalid: (row) => {
        if (invalid.length < SHOWN) invalid.push(row)
        bar.stop()
        process.stderr.write(`${row.table} ${row.key}: ${row.column} ${row.message}\n`)
      },
    })
  // A reader that has stopped would block the stream's end, and with it the signal.
  const done =
    file === undefined
      ? await exporting(output)
      : await interruptible('Stopped. Nothing was exported.', (signal) => exporting(stoppable(output, signal)))
  return exported(done, invalid, file)
}

/** Stops between two writes. An incomplete file is then removed. */
const stoppable = (output: transfer.Output, signal: AbortSignal): transfer.Output => ({
  ...output,
  write: async (text) => {
    signal.throwIfAborted()
    await output.write(text)
  },
})

function exported(done: transfer.ExportReport, invalid: transfer.InvalidRow[], file: string | undefined): Outcome {
  const { complete, rows } = done
  const written = Object.entries(rows).map(([table, number]) => `${counted(number, 'row')} of ${table}`)
  const text = complete
    ? [
        `Exported ${written.join(', ')}.`,
        ...(done.invalid > 0 ? [`Without ${count(done.invalid)} that break the rules.`] : []),
        ...leftBehindText(done.leftBehind),
      ]
    : [
        `${count(done.invalid)} rows break the rules: the export is not complete. Correct or delete them, or leave them out with --skip-invalid.`,
      ]
  // The rows go to stdout, so the summary goes to stderr.
  if (file === undefined) process.stderr.write(text.map((line) => `${line}\n`).join(''))
  return {
    json: { ...done, ...(complete && { file }), invalidRows: invalid },
    text: file === undefined ? [] : text,
    exitCode: complete ? EXIT.done : EXIT.person,
  }
}
