import type pg from 'pg'
import { isConnectionLost, translated } from '../../database/postgres/errors.ts'
import { openPool } from '../../database/postgres/pool.ts'
import { explained } from '../../database/postgres/session-control.ts'
import type { PostgresTarget } from '../../database/postgres/url.ts'
import type { Status } from '../../migrator/inspection.ts'
import { inspectPostgres } from '../../migrator/postgres-inspection.ts'
import { withPostgresSnapshot } from '../../rows/postgres-source.ts'
import { type CheckReport, Findings } from '../findings.ts'
import { checkBackups, HAS_ROWS, lastBackupIn, NOTES, type Note } from '../notes.ts'
import type { Settings } from '../options.ts'
import { checkRows, ROW_CHECKS } from '../rows.ts'
import { checkDrift, checkStanding } from '../standing.ts'
import { type Ask, asking } from './asking.ts'
import * as server from './server.ts'
import * as tables from './tables.ts'

/** Throws UNAVAILABLE and the like, and CONFIG for what cannot be connected to. */
export async function checkPostgres(target: PostgresTarget, settings: Settings): Promise<CheckReport> {
  const pool = openPool(target, {
    max: 1,
    mode: target.poolMode,
    readOnly: false,
    durability: 'full',
    statementMs: target.statementMs,
    lockMs: Math.max(1, settings.busyTimeoutMs),
  })
  try {
    return await checkServer({ target, settings, pool })
  } catch (error) {
    throw await explained(translated(error), target, pool)
  } finally {
    await pool.end()
  }
}

interface Looking {
  readonly target: PostgresTarget
  readonly settings: Settings
  readonly pool: pg.Pool
}

async function checkServer({ target, settings, pool }: Looking): Promise<CheckReport> {
  const findings = new Findings((error) => error.code === 'UNAVAILABLE' && isConnectionLost(error))
  const { limits } = settings
  const ask = asking(pool)
  // Whether anybody answers at all; nothing below throws for want of rights.
  await ask('SELECT 1')
  await findings.look('version', () => server.checkVersion(ask, findings))
  await findings.look('encoding', () => server.checkEncoding(ask, findings))
  await findings.look('settings', () => server.checkSettings(ask, findings))
  await findings.look('tls', () => server.checkTls(target, findings))
  const inRecovery = await findings.look('recovery', () => server.isInRecovery(ask, findings))
  await findings.look('collation', () => server.checkCollation(ask, findings))
  await findings.look('transaction-ids', () => server.checkTransactionIds(ask, limits, findings))
  await findings.look('long-transactions', () => server.checkLongTransactions(ask, limits, findings))
  await findings.look('rights', () => tables.checkRole(ask, findings))
  const unvalidated = await findings.look('constraints', () => tables.checkConstraints(ask, findings))
  await findings.look('indexes', () => tables.checkIndexes(ask, findings))
  await findings.look('dead-rows', () => tables.checkDeadRows(ask, limits, findings))
  if (inRecovery === true) {
    findings.skip(REPLICA, 'migrations', 'schema', 'others', 'move', ...ROW_CHECKS)
    await checkNotes(ask, settings, findings)
    return findings.report('postgresql')
  }
  const status = await standingOf(target, unvalidated ?? [], findings)
  await checkData({ target, settings, ask, status }, findings)
  return findings.report('postgresql')
}

const REPLICA = 'A replica refuses what is needed for it. Check the primary server.'
const UNCURRENT = 'The schema is not up to date.'
const UNKNOWN = 'The migrations could not be looked at.'
const QUICK = '--quick leaves it out.'

async function standingOf(
  target: PostgresTarget,
  unvalidated: readonly string[],
  findings: Findings,
): Promise<Status | undefined> {
  const found = await findings.look('migrations', async () => {
    const status = await inspectPostgres(target)
    checkStanding(status, findings)
    return status
  })
  if (found === undefined) findings.skip(UNKNOWN, 'schema', 'others')
  else if (found.drift !== undefined)
    await findings.look(['schema', 'others'], () => checkDrift(withoutConstraints(found, unvalidated), findings))
  return found
}

/** A constraint that is NOT VALID has its own finding; as drift it would be one that is missing and one too many. */
function withoutConstraints(status: Status, names: readonly string[]): Status {
  const drift = status.drift?.filter(({ what }) => !names.some((name) => what.startsWith(`CONSTRAINT ${name} `)))
  return { ...status, drift }
}

interface Data {
  readonly target: PostgresTarget
  readonly settings: Settings
  readonly ask: Ask
  readonly status: Status | undefined
}

async function checkData({ target, settings, ask, status }: Data, findings: Findings): Promise<void> {
  if (status?.state !== 'current') {
    findings.skip(status === undefined ? UNKNOWN : UNCURRENT, 'move', 'notes', 'last-backup', ...ROW_CHECKS)
    return
  }
  await findings.look('move', () => tables.checkMove(ask, findings))
  await checkNotes(ask, settings, findings)
  const { quick, busyTimeoutMs } = settings
  if (quick) findings.skip(QUICK, ...ROW_CHECKS)
  else
    await findings.look(ROW_CHECKS, () =>
      withPostgresSnapshot(target, { busyTimeoutMs }, (snapshot) =>
        checkRows(snapshot, findings, { ...settings, mayMove: false }),
      ),
    )
}

async function checkNotes(ask: Ask, settings: Settings, findings: Findings): Promise<void> {
  await findings.look(['notes', 'last-backup'], async () => {
    const last = lastBackupIn(await ask<[...Note]>(NOTES), findings)
    const [[hasRows = 0] = []] = await ask<[number]>(HAS_ROWS)
    const advice =
      'Run meshstore backup create, and have it run every day; or see that whoever runs the server backs it up.'
    // What others back up is not noted here.
    checkBackups({ last, hasRows: hasRows === 1, advice, never: 'info' }, findings, settings)
  })
}
