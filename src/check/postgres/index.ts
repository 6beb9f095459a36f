import type pg from 'pg'
import { clusterWarnings } from '../../database/postgres/cluster-settings.ts'
import { isConnectionLost, translated } from '../../database/postgres/errors.ts'
import { explained, inOwnTransaction } from '../../database/postgres/session-control.ts'
import { type Ask, openSingle } from '../../database/postgres/single.ts'
import type { PostgresTarget } from '../../database/postgres/url.ts'
import type { Status } from '../../migrator/inspection.ts'
import { inspectPostgres } from '../../migrator/postgres-inspection.ts'
import { withPostgresSnapshot } from '../../rows/postgres-source.ts'
import { postgresTriggerNames } from '../../schema/triggers.ts'
import { type CheckReport, Findings } from '../findings.ts'
import { checkLastBackup, type LastBackup, lastBackupSql } from '../last-backup.ts'
import type { Settings } from '../options.ts'
import { checkOwnTables } from '../own-tables.ts'
import { checkRows } from '../rows.ts'
import { checkDrift, checkMigrations } from '../schema.ts'
import { checkMove, checkRole, checkSettings, ownTablesOn } from './server.ts'

/** Throws UNAVAILABLE, or CONFIG if the connection's settings are wrong. */
export async function checkPostgres(target: PostgresTarget, settings: Settings): Promise<CheckReport> {
  await using pool = openSingle(target, settings)
  try {
    return await checkServer(target, settings, asking(pool))
  } catch (error) {
    throw await explained(translated(error), target, pool)
  }
}

/**
 * Runs each query in a transaction of its own: a long look does not hold back VACUUM. REPEATABLE READ: a server in
 * recovery refuses the pool's default isolation level.
 */
const asking =
  (pool: pg.Pool): Ask =>
  (sql, values) =>
    inOwnTransaction(pool, 'REPEATABLE READ READ ONLY', (ask) => ask(sql, values))

async function checkServer(target: PostgresTarget, settings: Settings, ask: Ask): Promise<CheckReport> {
  const findings = new Findings((error) => error.code === 'UNAVAILABLE' && isConnectionLost(error))
  // Throws if the server does not answer. The looks below do not throw if rights are missing.
  const [[inRecovery] = []] = await ask<[boolean]>('SELECT pg_is_in_recovery()')
  await findings.look('settings', () => checkSettings(ask, findings))
  if (target.hosts.length > 1)
    await findings.look('settings', async () => {
      for (const each of await clusterWarnings(ask, { isCommitChecked: true }))
        findings.add({ severity: 'warning', check: 'settings', ...each })
    })
  await findings.look('rights', () => checkRole(ask, findings))
  if (inRecovery === true) {
    findings.skip(REPLICA, 'migrations', 'schema', 'others', 'move', 'rows')
    await checkBackup(ask, settings, findings)
    return findings.report('postgresql')
  }
  const status = await statusOf(target, findings)
  if (status?.state !== 'current') {
    findings.skip(status === undefined ? UNKNOWN : UNCURRENT, 'move', 'last-backup', 'rows')
    return findings.report('postgresql')
  }
  await findings.look('schema', async () => checkOwnTables(await ownTablesOn(ask), postgresTriggerNames, findings))
  await findings.look('move', () => checkMove(ask, findings))
  await checkBackup(ask, settings, findings)
  const { quick, busyTimeoutMs } = settings
  if (quick) findings.skip(QUICK, 'rows')
  else
    await findings.look('rows', () =>
      withPostgresSnapshot(target, { busyTimeoutMs, anySchema: true }, (snapshot) =>
        checkRows(snapshot, findings, settings),
      ),
    )
  return findings.report('postgresql')
}

const REPLICA = 'The server is a replica, or is being restored, and refuses what is needed for it. Check the primary.'
const UNCURRENT = 'The schema is not up to date.'
const UNKNOWN = 'The migrations could not be looked at.'
const QUICK = '--quick leaves it out.'

async function statusOf(target: PostgresTarget, findings: Findings): Promise<Status | undefined> {
  const found = await findings.look('migrations', async () => {
    const status = await inspectPostgres(target)
    checkMigrations(status, findings)
    return status
  })
  if (found === undefined) findings.skip(UNKNOWN, 'schema', 'others')
  else if (found.drift !== undefined) await findings.look(['schema', 'others'], () => checkDrift(found, findings))
  return found
}

async function checkBackup(ask: Ask, { now }: Settings, findings: Findings): Promise<void> {
  await findings.look('last-backup', async () => {
    const [found = [null, 0]] = await ask<LastBackup>(lastBackupSql(await ownTablesOn(ask)))
    const advice =
      'Run meshstore backup create, and have it run every day; or make sure that the operators of the server back it up.'
    // The database does not record the server's own backups.
    checkLastBackup(found, findings, { now: now(), advice, never: 'info' })
  })
}
