import type { Command } from 'commander'
import { type CheckReport, check, type Finding, type Severity } from '../check/index.ts'
import { EXIT } from './exit-codes.ts'
import { type Common, databaseCommand, urlOf, waitOf } from './options.ts'
import { count, type Outcome, printable, progressBar, report } from './output.ts'

type CheckFlags = Common & { quick?: boolean }

const HELP = `
Looks at the file or the server, the schema, and every row, and changes nothing.
The application may go on meanwhile. Each finding says what to do. The exit code
is 0 if there is nothing worse than an information, 3 with warnings, 4 with
errors.`

/** `meshstore check` */
export function addCheck(program: Command): void {
  databaseCommand(program, 'check')
    .description('Says what is wrong with a database, and what to do about it.')
    .option('--quick', 'leave out what reads all of the data: integrity_check and the rows')
    .addHelpText('after', HELP)
    .action((flags: CheckFlags) => report(flags, () => run(flags)))
}

async function run(flags: CheckFlags): Promise<Outcome> {
  const bar = progressBar('Reading the rows')
  try {
    const found = await check(urlOf(flags), {
      quick: flags.quick,
      busyTimeoutMs: waitOf(flags),
      // Counting the rows takes time: do it only for a terminal.
      onProgress: process.stderr.isTTY ? ({ done, total }) => bar.update(done, total) : undefined,
    })
    return { json: found, text: textOf(found), exitCode: exitCodeFor(found) }
  } finally {
    bar.stop()
  }
}

function exitCodeFor({ counts }: CheckReport): number {
  if (counts.error > 0) return EXIT.person
  return counts.warning > 0 ? EXIT.pending : EXIT.done
}

const TITLES: Readonly<Record<Severity, string>> = { error: 'Errors', warning: 'Warnings', info: 'For information' }

function textOf({ findings, counts, passed, notChecked }: CheckReport): string[] {
  const groups = (['error', 'warning', 'info'] as const).flatMap((severity) => {
    const found = findings.filter((finding) => finding.severity === severity)
    const lines = [...new Set(found.map((finding) => finding.check))].flatMap((name) =>
      linesOf(found.filter((finding) => finding.check === name)),
    )
    return lines.length === 0 ? [] : [`${TITLES[severity]} (${count(counts[severity])}):`, ...lines, '']
  })
  // A check that passed may have an `info` finding, which is printed above.
  const well = passed.filter((name) => findings.every((finding) => finding.check !== name))
  const unseen = Object.entries(Object.groupBy(notChecked, ({ reason }) => reason))
  return [
    ...groups,
    ...(counts.error + counts.warning === 0 ? ['Nothing is wrong with what was looked at.'] : []),
    `Looked at, and found to be well: ${well.join(', ') || 'nothing'}.`,
    ...unseen.map(([reason, names = []]) => `Not looked at: ${names.map((each) => each.check).join(', ')}. ${reason}`),
  ]
}

/** Maximum number of findings that are shown for one check. */
const SHOWN = 10
function linesOf(findings: readonly Finding[]): string[] {
  const more = findings.length - SHOWN
  const rest = more > 0 ? [`  ${findings[0]?.check}: … and ${count(more)} more; --json has them`] : []
  return [...findings.slice(0, SHOWN).map(lineOf), ...rest]
}

const lineOf = ({ check: name, message, advice }: Finding): string =>
  `  ${name}: ${printable(`${message} → ${advice}`)}`
