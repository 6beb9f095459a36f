import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { type CheckReport, check, type Finding, type Severity } from '../check/index.ts'
import { StorageError } from '../errors.ts'
import { checkPlace, type PlaceReport } from '../replication/check-place.ts'
import { placeOf } from '../replication/open-place.ts'
import { EXIT } from './exit-codes.ts'
import { interruptible } from './interrupt.ts'
import { type Common, databaseCommand, urlOf, waitOf } from './options.ts'
import { count, counted, type Outcome, printable, progressBar, report } from './output.ts'
import { spanWords } from './replicate.ts'

type CheckFlags = Common & { quick?: boolean }

const HELP = `
Looks at the file or the server, the schema, and every row, and changes nothing.
The application may go on meanwhile. Each finding says what to do. The exit code
is 0 if there is nothing worse than an information, 3 with warnings, 4 with
errors.

PLACE is a folder or s3://bucket/prefix that replicate fills. The command then
says which moments can be restored, and which objects are damaged or missing.
With --quick it looks at the names alone: a bucket charges for each object.`

export function addCheck(program: Command): void {
  databaseCommand(program, 'check')
    .argument('[place]', 'a replica to look at, instead of a database')
    .description('Says what is wrong with a database or a replica, and what to do about it.')
    .option('--quick', 'leave out what reads all of the data: integrity_check, the rows, and the objects of a place')
    .addHelpText('after', HELP)
    .action((place: string | undefined, flags: CheckFlags) =>
      report(flags, () => (place === undefined ? run(flags) : runOnPlace(place, flags))),
    )
}

async function runOnPlace(place: string, { url, quick }: CheckFlags): Promise<Outcome> {
  if (url !== undefined)
    throw new StorageError('CONFIG', 'Check a place or a database: leave out --url or the place. Nothing was read.')
  if (/^(sqlite|postgres(ql)?):/i.test(place) || statSync(place, { throwIfNoEntry: false })?.isFile())
    throw new StorageError('CONFIG', 'A place is a folder or a bucket. Give a database by --url. Nothing was read.')
  using bar = progressBar('Reading the place', 'objects')
  const found = await interruptible('Stopped. Nothing was changed.', (signal) =>
    checkPlace(placeOf(place), {
      now: new Date(),
      quick,
      signal,
      onProgress: (done, total) => bar.update(done, total),
    }),
  )
  return { json: found, text: textOfPlace(found), exitCode: exitCodeFor(found.findings) }
}

function exitCodeFor(findings: readonly { readonly severity: Severity }[]): number {
  if (findings.some(({ severity }) => severity === 'error')) return EXIT.person
  return findings.some(({ severity }) => severity === 'warning') ? EXIT.pending : EXIT.done
}

/** The findings by severity, the worst first. `counts`: with those that are not listed. */
const groupsOf = <F extends { readonly severity: Severity }>(
  findings: readonly F[],
  linesOf: (found: readonly F[]) => readonly string[],
  counts?: CheckReport['counts'],
): string[] =>
  (['error', 'warning', 'info'] as const).flatMap((severity) => {
    const found = findings.filter((finding) => finding.severity === severity)
    if (found.length === 0) return []
    return [`${TITLES[severity]} (${count(counts?.[severity] ?? found.length)}):`, ...linesOf(found), '']
  })

function textOfPlace({ spans, findings, newest, ageSeconds, segments, bases }: PlaceReport): string[] {
  return [
    ...groupsOf(findings, (found) => shortened(found)),
    ...spans.map(spanWords),
    ...(newest === undefined
      ? []
      : [`The newest moment is ${newest.at}, ${count(Math.round(ageSeconds ?? 0))} s ago.`]),
    `Looked at ${counted(segments, 'segment')} and ${counted(bases, 'base')}.`,
  ]
}

async function run(flags: CheckFlags): Promise<Outcome> {
  using bar = progressBar('Reading the rows')
  const found = await check(urlOf(flags), {
    quick: flags.quick,
    busyTimeoutMs: waitOf(flags),
    // Counting the rows takes time: do it only for a terminal.
    onProgress: process.stderr.isTTY ? ({ done, total }) => bar.update(done, total) : undefined,
  })
  return { json: found, text: textOf(found), exitCode: exitCodeFor(found.findings) }
}

const TITLES: Readonly<Record<Severity, string>> = { error: 'Errors', warning: 'Warnings', info: 'For information' }

function textOf({ findings, counts, passed, notChecked }: CheckReport): string[] {
  const byName = (found: readonly Finding[]): string[] =>
    [...Map.groupBy(found, (finding) => finding.check)].flatMap(([name, same]) => shortened(same, `${name}: `))
  // A check that passed may have an `info` finding, which is printed above.
  const well = passed.filter((name) => findings.every((finding) => finding.check !== name))
  const unseen = Object.entries(Object.groupBy(notChecked, ({ reason }) => reason))
  return [
    ...groupsOf(findings, byName, counts),
    ...(counts.error + counts.warning === 0 ? ['Nothing is wrong with what was looked at.'] : []),
    `Looked at, and found to be well: ${well.join(', ') || 'nothing'}.`,
    ...unseen.map(([reason, names = []]) => `Not looked at: ${names.map((each) => each.check).join(', ')}. ${reason}`),
  ]
}

/** Maximum number of findings that are shown for one check. */
const SHOWN = 10
const shortened = (findings: readonly Pick<Finding, 'message' | 'advice'>[], name = ''): string[] => [
  ...findings.slice(0, SHOWN).map(({ message, advice }) => `  ${name}${printable(`${message} → ${advice}`)}`),
  ...(findings.length > SHOWN ? [`  ${name}… and ${count(findings.length - SHOWN)} more; --json has them`] : []),
]
