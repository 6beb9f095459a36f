import type { InvalidationFilter } from '../api.ts'
import type { Call, Session } from '../database/session.ts'
import { given, type Statement } from '../database/statement.ts'
import * as cache from './entry-statements.ts'
import { nodesOn } from './invalidation.ts'
import { type Mark, mark } from './sweep-statements.ts'
import { deletePaths } from './sweeper.ts'

/**
 * Drops paths by their ends, by a node on the way, or all of them. Each leaves a mark, which computations that are under way
 * heed before they store what they found, in whichever process.
 */
export class PathInvalidator {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** How many rows were deleted. */
  invalidate({ source, destination, through }: InvalidationFilter): Promise<number> {
    const filter = { source, destination }
    return through === undefined ? this.#byEnds(filter) : this.#byNode({ ...filter, through })
  }

  /** The index finds them: they go with the mark. */
  async #byEnds(filter: InvalidationFilter): Promise<number> {
    const remove = cache.removeMatching(given(filter, cache.FILTER_FIELDS))
    const calls = [asCall(mark, markOf(filter, { swept: true })), asCall(remove, { ...filter })]
    const [, deleted = 0] = await this.#session.writeEach(calls, ({ changes }) => changes)
    return deleted
  }

  /** From the mark on nobody gets them; then they are looked for, in batches. */
  async #byNode(filter: InvalidationFilter & { through: string }): Promise<number> {
    const { source, destination, through } = filter
    await this.#session.write(mark, markOf(filter, { swept: false }))
    return deletePaths(this.#session, (paths) => {
      if (source !== undefined && paths.source !== source) return false
      if (destination !== undefined && paths.destination !== destination) return false
      return nodesOn(paths)?.has(through) ?? true
    })
  }

  /** From the mark on nobody gets any; the sweep deletes them. How many rows there were that no other `clear()` had left. */
  async clear(): Promise<number> {
    const calls = [asCall(cache.countUncleared, {}), asCall(mark, markOf({}, { swept: false }))]
    const [count = 0] = await this.#session.writeEach(calls, ({ rows: [row] }) => row?.count ?? 0)
    return count
  }
}

interface MaybeCounted {
  readonly count?: number
}
/** Of statements with parameters of their own, to run as one. */
const asCall = <P, R extends MaybeCounted>(statement: Statement<P, R>, parameters: P): Call<unknown, MaybeCounted> =>
  // Which parameters belong to which statement is checked here, for the last time.
  ({ statement, parameters }) as unknown as Call<unknown, MaybeCounted>

function markOf({ source, destination, through }: InvalidationFilter, { swept }: { swept: boolean }): Mark {
  // By the machine's clock, as the triggers tell the time.
  const ends = { source: source ?? null, destination: destination ?? null, through: through ?? null }
  return { ...ends, markedAt: new Date(), swept }
}
