/** What there is of the log, as another program sees it. */
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
    consumers: consumers.filter(({ name }) => name !== '').length,
    changes: changes.length,
  }
}
