import type { InvalidationFilter } from '../api.ts'
import type { Call, Session } from '../database/session.ts'
import { given, type Statement } from '../database/statement.ts'
import { machineTime } from '../event-loop.ts'
import * as cache from './entry-statements.ts'
import { nodesOn } from './invalidation.ts'
import { add, type Invalidation } from './invalidation-statements.ts'
import { deletePaths } from './sweeper.ts'

/**
 * Drops paths by source and destination, by a node on the path, or all paths. Each call records an invalidation. A running
 * computation, in any process, checks for newer invalidations before it stores its result.
 */
export class PathInvalidator {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  /** Returns the number of deleted rows. */
  invalidate({ source, destination, through }: InvalidationFilter): Promise<number> {
    const filter = { source, destination }
    return through === undefined ? this.#byEnds(filter) : this.#byNode({ ...filter, through })
  }

  /** An index finds the rows: they are deleted together with the record. */
  async #byEnds(filter: InvalidationFilter): Promise<number> {
    const remove = cache.removeMatching(given(filter, cache.FILTER_FIELDS))
    const calls = [asCall(add, recordOf(filter, { swept: true })), asCall(remove, { ...filter })]
    const [, deleted = 0] = await this.#session.writeEach(calls, ({ changes }) => changes)
    return deleted
  }

  /** Records the invalidation, which hides the paths from reads, then finds and deletes the paths in batches. */
  async #byNode(filter: InvalidationFilter & { through: string }): Promise<number> {
    const { source, destination, through } = filter
    await this.#session.write(add, recordOf(filter, { swept: false }))
    return deletePaths(this.#session, (paths) => {
      if (source !== undefined && paths.source !== source) return false
      if (destination !== undefined && paths.destination !== destination) return false
      return nodesOn(paths)?.has(through) ?? true
    })
  }

  /** Records the invalidation, which hides all paths; the sweep deletes them. Returns the number of newly hidden rows. */
  async clear(): Promise<number> {
    const calls = [asCall(cache.countUncleared, {}), asCall(add, recordOf({}, { swept: false }))]
    const [count = 0] = await this.#session.writeEach(calls, ({ rows: [row] }) => row?.count ?? 0)
    return count
  }
}

interface MaybeCounted {
  readonly count?: number
}
/** Erases the statement's types, so that statements with different parameters can run as one unit. */
const asCall = <P, R extends MaybeCounted>(statement: Statement<P, R>, parameters: P): Call<unknown, MaybeCounted> =>
  // Here the compiler checks for the last time that the parameters belong to the statement.
  ({ statement, parameters }) as unknown as Call<unknown, MaybeCounted>

function recordOf({ source, destination, through }: InvalidationFilter, { swept }: { swept: boolean }): Invalidation {
  // The machine's clock, as in the triggers.
  const ends = { source: source ?? null, destination: destination ?? null, through: through ?? null }
  return { ...ends, markedAt: machineTime(), swept }
}
