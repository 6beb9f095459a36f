/** Server settings with which a failover of a cluster loses something, or takes long. */
import type { Ask } from './single.ts'

export interface ClusterWarning {
  readonly message: string
  readonly advice: string
}

const LONGEST_SENDER_TIMEOUT_MS = 10_000

const SETTINGS = `SELECT name, setting FROM pg_settings
  WHERE name IN ('synchronous_commit', 'synchronous_standby_names', 'wal_sender_timeout')`

/** `isCommitChecked`: the caller reports `synchronous_commit` by itself. */
export async function clusterWarnings(ask: Ask, { isCommitChecked = false } = {}): Promise<ClusterWarning[]> {
  const settings = new Map(await ask<[string, string]>(SETTINGS))
  const timeoutMs = Number(settings.get('wal_sender_timeout'))
  const warnings: ClusterWarning[] = []
  const commit = settings.get('synchronous_commit')
  if (!isCommitChecked && (commit === 'off' || commit === 'local'))
    warnings.push({
      message: `synchronous_commit is ${commit}: a failover may lose writes that were acknowledged.`,
      advice: 'Set synchronous_commit = on for the role.',
    })
  if (settings.get('synchronous_standby_names') === '')
    warnings.push({
      message: 'No standby is synchronous: a failover may lose writes that were acknowledged.',
      advice: 'Set synchronous_mode in Patroni, or synchronous_standby_names.',
    })
  if (timeoutMs === 0 || timeoutMs > LONGEST_SENDER_TIMEOUT_MS)
    warnings.push({
      message: `wal_sender_timeout is ${timeoutMs} ms: writes may wait that long for a standby that stands still.`,
      advice: `Set wal_sender_timeout to ${LONGEST_SENDER_TIMEOUT_MS} ms or less.`,
    })
  return warnings
}
