import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { ReplicationHealth } from '../api.ts'
import { StorageError } from '../errors.ts'
import { databaseOf } from '../open/config.ts'
import { momentOf, type Span } from '../replication/moment.ts'
import { placeOf } from '../replication/open-place.ts'
import { restoreMoment } from '../replication/restore.ts'
import { type Contents, listMoments, verifyPlace } from '../replication/verify.ts'
import { openStorage } from '../storage.ts'
import { EXIT } from './exit-codes.ts'
import { interruptible, untilSignal } from './interrupt.ts'
import { notices } from './notices.ts'
import {
  type Common,
  databaseCommand,
  leftBehindText,
  secondsUpTo,
  urlFrom,
  urlOf,
  waitOf,
  wholeNumber,
} from './options.ts'
import { count, counted, counter, type Outcome, printable, progressBars, report, rowsText } from './output.ts'

interface ReplicateFlags extends Common {
  to: string
  every?: number
  keepDaily?: number
  once?: boolean
  verify?: boolean
}

const everyOf = secondsUpTo(3_600, 0.01)
const daysOf = wholeNumber(0, 99_999, 'Give a whole number of days.')

const HELP = `
Runs beside the application until it gets Ctrl+C or SIGTERM, and then ships what
is left. PLACE is a folder, file:///path, or s3://bucket/prefix. Give each
database a place of its own. It says on stderr when something keeps it from
shipping, and tries again.

A process that is killed goes on where it was. If two processes ship the same
database, one of them stands by. It takes over when nothing has arrived from the
other one for 10 seconds, and for three intervals.

--verify needs no database. It replays everything in the place and compares it
with the hashes of the bases. The exit code is 4 if something is damaged or
missing.`

export function addReplicate(program: Command): void {
  databaseCommand(program, 'replicate')
    .description('Keeps a second copy of the database in a folder or a bucket, some seconds old.')
    .requiredOption('--to <place>', 'a folder, or s3://bucket/prefix')
    .option('--every <seconds>', 'how often to ship (default: 1, and 10 for a bucket)', everyOf)
    .option(
      '--keep-daily <n>',
      'older than 24 hours, keep the last base of each of the last n days (default: 7)',
      daysOf,
    )
    .option('--once', 'ship what there is, then end')
    .option('--verify', 'replay what the place holds, and compare it')
    .addHelpText('after', HELP)
    .action((flags: ReplicateFlags) => report(flags, () => (flags.verify ? verify(flags) : replicate(flags))))
}

async function replicate(flags: ReplicateFlags): Promise<Outcome> {
  const url = urlOf(flags)
  const target = databaseOf(url)
  if (target.dialect === 'sqlite' && !existsSync(target.path))
    throw new StorageError('CONFIG', `There is no database at ${target.path}. Give another --url.`)
  const { to, every, keepDaily } = flags
  const keep = keepDaily === undefined ? undefined : { daily: keepDaily }
  const replication = { to, everySeconds: every ?? (flags.once ? 3_600 : undefined), keep }
  await using store = await openStorage({
    url,
    migrate: 'check',
    busyTimeoutMs: waitOf(flags),
    replicate: replication,
  })
  if (!flags.once) {
    const shown = counter('Replicated', 'seconds behind')
    const note = notices()
    const timer = setInterval(async () => {
      const { replication: found } = await store.health()
      if (found !== undefined) note(stateOf(found))
      if (found?.behindSeconds !== undefined) shown.update(Math.round(found.behindSeconds))
    }, 1_000)
    await untilSignal()
    clearInterval(timer)
    shown.stop()
  }
  const { replication: before } = await store.health()
  if (before?.standsBy)
    return { json: { ...before }, text: [`Another process ships to ${before.place}. This one stood by.`] }
  await store.flushReplica()
  const { replication: found } = await store.health()
  const without = found?.leftBehind ?? []
  const warning = `The replica is without ${printable(without.join(', '))}: keep backups for that.`
  return { json: { ...found }, text: [toldOf(found), ...(without.length > 0 ? [warning] : [])] }
}

const stateOf = ({ place, problem, standsBy }: ReplicationHealth): string => {
  if (problem !== undefined) return `${problem.code}: ${problem.message}`
  if (standsBy) return `Another process ships to ${place}. This one stands by.`
  return `Ships to ${place} until it gets Ctrl+C or SIGTERM.`
}

const toldOf = (found: ReplicationHealth | undefined): string =>
  `${found?.place} has everything up to ${found?.upTo?.toISOString()}.`

async function verify({ to }: ReplicateFlags): Promise<Outcome> {
  using bars = replayBars()
  const found = await interruptible('Stopped.', (signal) => verifyPlace(placeOf(to), { onProgress: bars.show, signal }))
  const { bases, segments, rows, problems } = found
  return {
    json: found,
    text: [
      `Replayed ${counted(segments, 'segment')} with ${counted(rows, 'row')}, and compared ${counted(bases, 'base')}.`,
      ...wordsOf(found),
    ],
    exitCode: problems.length > 0 ? EXIT.person : EXIT.done,
  }
}

const replayBars = () => progressBars({ loading: ['Loading  ', 'rows'], replaying: ['Replaying', 'segments'] })

function wordsOf({ spans, problems }: Contents): string[] {
  return [
    ...spans.map(spanWords),
    ...problems.map((problem) => `Lost: ${problem}`),
    ...(spans.length === 0 ? ['Nothing can be restored yet.'] : []),
  ]
}

export const spanWords = ({ generation, from, to, missing }: Span): string =>
  [
    `Generation ${generation}: from ${from.at} (segment ${from.segment}) to ${to.at} (segment ${to.segment}).`,
    ...(missing === undefined ? [] : [`Segments ${missing.first} to ${missing.last} are not there.`]),
  ].join(' ')

/** Asks for the URL of a restore. */
export const INTO = 'Into which database? Give --to'

export interface RestoreMomentFlags {
  from: string
  to?: string
  at?: string
  list?: boolean
  dryRun?: boolean
  json?: boolean
  replace?: boolean
  ignoreOtherTables?: boolean
}

/** Whether `--from` names a place, and no backup. */
export const isPlace = ({ from, at, list }: RestoreMomentFlags): boolean =>
  at !== undefined ||
  list === true ||
  /^s3:/i.test(from) ||
  existsSync(join(from.replace(/^file:\/\//, ''), 'replica.json'))

export async function restoreFrom(flags: RestoreMomentFlags): Promise<Outcome> {
  const place = placeOf(flags.from)
  if (flags.list) {
    const found = await listMoments(place)
    return { json: found, text: wordsOf(found), exitCode: found.problems.length > 0 ? EXIT.person : EXIT.done }
  }
  if (flags.dryRun) throw new StorageError('CONFIG', '--list says what a replica can restore. Leave --dry-run out.')
  const { at, replace, ignoreOtherTables } = flags
  const url = urlFrom(flags.to, INTO)
  const moment = at === undefined ? undefined : momentOf(at)
  using bars = replayBars()
  const done = await interruptible('Stopped. Nothing was restored.', (signal) =>
    restoreMoment(place, url, { moment, replace, ignoreOtherTables, signal, onReplay: bars.show }),
  )
  const { restoredTo, tables, ownTables, reached, segments, verified, problem, askedFor, leftBehind, safetyCopy } = done
  const { nodes, policies } = tables
  return {
    json: done,
    text: [
      `Restored ${restoredTo}: ${rowsText({ nodes, policies }, ownTables)}, as of ${reached.at} (g${String(reached.generation).padStart(6, '0')}/${reached.segment}).`,
      `Replayed ${count(segments)} segments; compared ${counted(verified + 1, 'base')}: all of it is as it was.`,
      ...(askedFor === undefined ? [] : [`Nothing was shipped between that and ${askedFor}, which you asked for.`]),
      ...(problem === undefined ? [] : [`Lost: ${problem}`]),
      ...leftBehindText(leftBehind),
      ...(safetyCopy === undefined ? [] : [`What was there before is in ${safetyCopy}.`]),
    ],
    exitCode: problem === undefined ? EXIT.done : EXIT.person,
  }
}
