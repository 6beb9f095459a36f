import { childPath, runNode } from '../child.ts'
import { compare } from '../compare.ts'
import type { Benchmark } from '../context.ts'
import { newFile } from '../context.ts'
import { filledFile } from '../data.ts'
import { libraryPath } from '../driver.ts'
import { atMost } from '../result.ts'

const LIMIT_MS = 20

/** From `node` started to the first row of an existing file. */
export const start: Benchmark = {
  name: 'start',
  run: async (context) => {
    const file = await filledFile(newFile(context, 'start'))
    const first = async (which: string): Promise<number> =>
      (await runNode([childPath('first-row.mjs'), which, file])).firstOutputMs
    const { ours, raw, ratio } = await compare(
      { ours: () => first(libraryPath), raw: () => first('raw') },
      context.quick ? 10 : 40,
    )
    const more = ours.p50 - raw.p50
    return [
      {
        name: 'start to first row',
        unit: 'ms',
        ours,
        raw,
        ratio,
        targets: [atMost(LIMIT_MS, more, 'ms', `${LIMIT_MS} ms more than raw`)],
      },
    ]
  },
}
