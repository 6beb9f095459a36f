/**
 * Properties with seeds that are printed and can be replayed: `SEED=… npx vitest run test/property`, with `REPLAY=…` for
 * the path that fast-check prints; `RUNS=…` for more, or fewer.
 */
import fc from 'fast-check'

const { SEED, REPLAY, RUNS } = process.env
/** One for all properties of a test file: each backend gets the same random programs. */
const seed = SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(SEED)

export async function assertProperty<T>(
  name: string,
  property: fc.IAsyncProperty<T>,
  options: { runs?: number } = {},
): Promise<void> {
  const numRuns = RUNS === undefined ? (options.runs ?? 200) : Number(RUNS)
  console.info(`${name}: SEED=${seed}, ${numRuns} runs`)
  await fc.assert(property, { seed, numRuns, ...(REPLAY === undefined ? {} : { path: REPLAY }) })
}
