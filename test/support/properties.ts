/**
 * Properties with seeds that are printed and can be replayed: `SEED=… npm run test:faults -- property`, with `REPLAY=…` for
 * the path that fast-check prints.
 */
import fc from 'fast-check'

const { SEED, REPLAY } = process.env
/** Below the tests' own limit, which would not say what failed: making a counterexample smaller can take an hour. */
const LONGEST_MS = (process.env.TEST_FORM === undefined ? 4 : 13) * 60_000
/** One for all properties of a test file: each backend gets the same random programs. */
const seed = SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(SEED)

export async function assertProperty<T>(
  name: string,
  property: fc.IAsyncProperty<T>,
  { runs: numRuns = 200 }: { runs?: number } = {},
): Promise<void> {
  console.info(`${name}: SEED=${seed}, ${numRuns} runs`)
  const limits = { interruptAfterTimeLimit: LONGEST_MS, markInterruptAsFailure: true, includeErrorInReport: true }
  await fc.assert(property, { seed, numRuns, ...limits, ...(REPLAY === undefined ? {} : { path: REPLAY }) })
}
