/** The conditions of a rule, besides subject, action and resource. */

/** The facts that are known when a question is asked. */
export interface Circumstances {
  readonly now: Date
}

/** `undefined`: it cannot be told. */
export type Verdict = boolean | undefined
export type Condition = (circumstances: Circumstances) => Verdict

const TIME_BETWEEN = /^time between (\d{2}):(\d{2})-(\d{2}):(\d{2})$/
const MINUTES_A_DAY = 24 * 60

/** A condition that is not known here, or that asks for what is not known here, like `risk_score < 55`, can never be told. */
export function conditionOf(condition: unknown): Condition {
  const [, ...parts] = (typeof condition === 'string' && TIME_BETWEEN.exec(condition.trim())) || []
  const [h1 = Number.NaN, m1 = 0, h2 = 0, m2 = 0] = parts.map(Number)
  const [from, to] = [h1 * 60 + m1, h2 * 60 + m2]
  if (!(from < MINUTES_A_DAY && to <= MINUTES_A_DAY && m1 < 60 && m2 < 60)) return () => undefined
  return ({ now }) => {
    const minute = now.getUTCHours() * 60 + now.getUTCMinutes()
    // From the evening to the morning, too.
    return from <= to ? from <= minute && minute < to : from <= minute || minute < to
  }
}
