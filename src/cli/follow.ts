import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { Follower } from '../replication/follow.ts'
import { placeOf } from '../replication/open-place.ts'
import type { Mark } from '../replication/standby.ts'
import { EXIT } from './exit-codes.ts'
import { onSignal } from './interrupt.ts'
import { notices } from './notices.ts'
import { command, secondsOf, urlFrom, waitOf, withWait } from './options.ts'
import { counted, counter, type Outcome, progressBar, report } from './output.ts'

interface FollowFlags {
  from: string
  to?: string
  json?: boolean
  wait: number
  every: number
  once?: boolean
}

const HELP = `
The standby serves reads. Every other program's write fails with READ_ONLY until
meshstore promote. It follows until it gets Ctrl+C or SIGTERM, and goes on where
it was when it is started again. On PostgreSQL the role must own the tables.`

const PROMOTE_HELP = `
Applies everything that the place holds, fences the database that shipped so
far, and opens the standby for writes. If a segment is damaged or missing, what
came before it is applied, and the exit code is 4. Stop the writers of the old
primary first: what it commits after its last segment is lost. The old primary
notices within one interval, and reports MOVED in health(). A follow of the
standby ends by itself.

A promotion that was killed is finished by running it again.`

export function addFollow(program: Command): void {
  const standby = (name: string): Command =>
    withWait(
      command(program, name)
        .requiredOption('--from <place>', 'the place: a folder, or s3://bucket/prefix')
        .option('--to <url>', 'the standby: sqlite:<path>, a path, or postgres://… (default: $DATABASE_URL)'),
    )
  standby('follow')
    .description('Keeps a standby: a database that has what a replica holds, and serves reads.')
    .option('--every <seconds>', 'how often to look for a new segment', secondsOf, 1)
    .option('--once', 'apply what there is, then end')
    .addHelpText('after', HELP)
    .action((flags: FollowFlags) => report(flags, () => follow(flags)))
  standby('promote')
    .description('Makes a standby the database that takes writes.')
    .addHelpText('after', PROMOTE_HELP)
    .action((flags: FollowFlags) => report(flags, () => promote(flags)))
}

async function opened(flags: FollowFlags, mayBegin: boolean): Promise<Follower> {
  const to = urlFrom(flags.to, 'Which standby? Give --to')
  const bar = progressBar('Loading', 'rows')
  const onProgress = ({ done, total }: { done: number; total: number }): void => {
    bar.update(done, total)
    if (done === total) bar.stop()
  }
  return Follower.open(placeOf(flags.from), to, { busyTimeoutMs: waitOf(flags), onProgress }, { mayBegin })
}

async function follow(flags: FollowFlags): Promise<Outcome> {
  const follower = await opened(flags, true)
  using applied = counter('Followed', 'segments')
  using bar = progressBar('Catching up', 'segments')
  const note = notices()
  const stopping = new AbortController()
  // Disposed of when an error ends the loop: the process must not wait for a signal then.
  using _signals = flags.once ? undefined : onSignal(() => stopping.abort())
  let steps = 0
  try {
    let behind = await follower.remaining()
    for (;;) {
      if (stopping.signal.aborted) break
      if (await follower.step()) {
        // The first step of a new standby loads the base: only then is known how many segments follow.
        if (++steps === 1) behind = 1 + (await follower.remaining())
        if (steps < behind) bar.update(steps, behind)
        else {
          bar.stop()
          applied.update(steps)
        }
      } else if (flags.once) break
      else {
        const { missing } = follower
        note(missing === undefined ? `Follows ${follower.from} until it gets Ctrl+C or SIGTERM.` : waits(missing))
        // A timer that goes on would keep the process running after the signal.
        await sleep(flags.every * 1_000, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
    const { missing } = follower
    return outcomeOf(follower, { ...follower.mark, missing }, [
      `Followed ${counted(steps, 'segment')}.`,
      ...(missing === undefined ? [] : [waits(missing)]),
    ])
  } finally {
    await follower.close()
  }
}

const waits = (missing: string): string =>
  `${missing} Later segments are there, and wait for the next base. If nothing ships to the place any more, none will come: promote this standby as it is.`

async function promote(flags: FollowFlags): Promise<Outcome> {
  const follower = await opened(flags, false)
  try {
    const mark = await follower.promote()
    return outcomeOf(follower, mark, [
      `Promoted: generation ${mark.generation} begins here. Give applications this URL.`,
      ...(mark.problem === undefined ? [] : [`Lost: ${mark.problem}`]),
    ])
  } finally {
    await follower.close()
  }
}

interface Reached extends Mark {
  readonly missing?: string | undefined
  readonly problem?: string | undefined
}

const outcomeOf = ({ name }: Follower, mark: Reached, told: readonly string[]): Outcome => ({
  json: { standby: name, ...mark },
  text: [`${name} shows everything up to ${mark.at}.`, ...told],
  exitCode: (mark.missing ?? mark.problem) === undefined ? EXIT.done : EXIT.person,
})
