/**
 * How far a suite goes. `npm test` takes the brief form, `npm run test:faults` the short one, and with `--long` the long one. A
 * variable of the bound's name says it for one run: `KILL_CYCLES=7 npm run test:faults -- kill`.
 */

const FORMS = ['brief', 'short', 'long'] as const
export type Form = (typeof FORMS)[number]

/** Set by vitest.config.ts for the suites of faults, and by `--long`. */
export const FORM: Form = FORMS.find((form) => form === process.env.TEST_FORM) ?? 'brief'

/** A suite without a brief form is one that `npm test` leaves out: the short form is its least. */
export function bound(name: string, counts: Readonly<Record<'short' | 'long', number> & { brief?: number }>): number {
  const said = process.env[name]
  if (said === undefined)
    return (FORM === 'brief' ? counts.brief : undefined) ?? counts[FORM === 'long' ? 'long' : 'short']
  const count = Number(said)
  if (!(count > 0)) throw new Error(`${name}=${said} is no count.`)
  return count
}

/** `SEED=… npm run test:faults -- kill` replays what a run printed. In brief it is always the same. */
export const SEED = seed()

function seed(): number {
  const { SEED: said } = process.env
  if (said !== undefined) return Number(said)
  return FORM === 'brief' ? 1 : Math.floor(Math.random() * 2 ** 31)
}

/** The part of many like things that `npm test` tries. */
export const ofMany = <T>(all: readonly T[], inBrief: readonly T[]): readonly T[] => (FORM === 'brief' ? inBrief : all)
