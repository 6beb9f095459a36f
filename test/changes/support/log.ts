/** The change log as another program sees it. */
import { eventually } from '../../postgres/support/eventually.ts'
import type { OpenStore } from '../../support/backends.ts'

export interface Log {
  readonly isOn: boolean
  readonly consumers: number
  readonly changes: number
}

export async function logOf({ other }: OpenStore): Promise<Log> {
  const [state, consumers, changes] = await Promise.all([
    other.rows('meshstore_state'),
    other.rows('meshstore_consumers'),
    other.rows('meshstore_changes'),
  ])
  return {
    isOn: state.some(({ name }) => name === 'change_log'),
    consumers: consumers.filter(({ name }) => name !== '' && !String(name).startsWith('beat:')).length,
    // The first row of a log on SQLite is no change.
    changes: changes.filter(({ operation }) => operation !== 'begin').length,
  }
}

/** Swept until nothing is left: on PostgreSQL, transactions of anybody's that are open keep what came after them. */
export const emptied = (opened: OpenStore): Promise<void> =>
  eventually('the log is empty', async () => {
    await opened.store.pathCache.sweep()
    return (await logOf(opened)).changes === 0
  })
