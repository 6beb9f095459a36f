import { describe } from 'vitest'

/** Registers a suite that needs a PostgreSQL server. `DIALECTS=sqlite` leaves it out, and says so. */
export function describePostgres(title: string, suite: () => void): void {
  if (process.env.DIALECTS !== 'sqlite') {
    describe(title, suite)
    return
  }
  console.warn(`!! DIALECTS=sqlite: not tested: ${title}`)
  describe.skip(title, suite)
}
