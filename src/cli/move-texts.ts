/** The texts and progress bars of `meshstore move`. */
import type { MoveProgress, MoveReport } from '../api.ts'
import { StorageError } from '../errors.ts'
import type { MovePlan, MoveStatus } from '../move/live/plan.ts'
import { leftBehindText } from './options.ts'
import { count, counted, counter, progressBars, rowsText, seconds } from './output.ts'

export function planText({ from, to, rows, bytes, migrations, resumes }: MovePlan): string[] {
  return [
    `From  ${from}: ${rowsText(Object.fromEntries(Object.entries(rows).map(([name, rows]) => [name, { rows }])))}; ${count(Math.ceil(bytes / 1_048_576))} MiB.`,
    `To    PostgreSQL at ${to}.`,
    ...(resumes ? ['      A move to there was stopped, and goes on.'] : []),
    ...(migrations.length > 0 ? [`      To be applied there: ${migrations.join(', ')}.`] : []),
  ]
}

export const resumeError = ({ resumes, from, to }: MovePlan): StorageError =>
  resumes
    ? new StorageError(
        'CONFIG',
        `A move of ${from} is under way, or was stopped. Go on with --resume, or give it up with --abort.`,
      )
    : new StorageError(
        'CONFIG',
        `No move of ${from} to ${to} was stopped. Nothing was changed. Leave --resume out to begin one.`,
      )

export function moveBars(): Disposable & { show: (progress: MoveProgress) => void } {
  const bars = progressBars({
    checking: ['Checking ', 'rows'],
    copying: ['Copying  ', 'rows'],
    verifying: ['Comparing', 'rows'],
  })
  const followed = counter('Following', 'changes')
  const stop = (): void => {
    bars.stop()
    followed.stop()
  }
  let last = ''
  const show = ({ step, done, total = done }: MoveProgress): void => {
    if (step !== last) stop()
    last = step
    if (step === 'following') followed.update(done)
    else if (step !== 'switching') bars.show({ step, done, total })
    else if (done > 1 && process.stderr.isTTY)
      process.stderr.write(`Writers would have waited for too long: they go on. Attempt ${done}.\n`)
  }
  return { show, [Symbol.dispose]: stop }
}

export function reportText(
  { to, tables, ownTables, leftBehind, followed, attempts, pauseMs, migrated }: MoveReport,
  { from }: MovePlan,
): string[] {
  return [
    ...migrated.map((tag) => `Applied ${tag} to the target.`),
    `Moved ${rowsText(tables, ownTables)} to PostgreSQL at ${to}. Compared: all of it is there.`,
    ...leftBehindText(leftBehind),
    `Followed ${counted(followed, 'change')} made meanwhile. Writers were held up for ${seconds(pauseMs)}${attempts === 1 ? '' : `, at attempt ${attempts}`}.`,
    `${from} refuses writes now. Give its applications the new URL; those with it as successor have gone on there.`,
  ]
}

export function statusText(from: string, { state, id, to, phase, lag }: MoveStatus): string[] {
  if (state === 'none') return [`No move of ${from} is under way.`]
  if (state === 'moved') return [`The data of ${from} has moved to PostgreSQL at ${to} (move ${id}).`]
  return [
    `A move of ${from} to PostgreSQL at ${to} is under way, or was stopped (move ${id}).`,
    ...(phase === undefined
      ? []
      : [`The target is ${phase}${lag === undefined ? '' : `; ${counted(lag, 'change')} behind`}.`]),
  ]
}
