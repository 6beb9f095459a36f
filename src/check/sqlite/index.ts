import type Sqlite from 'better-sqlite3'
import { BusyRetry } from '../../database/sqlite/busy-retry.ts'
import { translated } from '../../database/sqlite/errors.ts'
import type { Status } from '../../migrator/inspection.ts'
import { foundIn } from '../../migrator/own-sqlite.ts'
import { inspectSqlite } from '../../migrator/sqlite-inspection.ts'
import { withSqliteSnapshot } from '../../open/sqlite-snapshot.ts'
import { TABLE_ROW } from '../../schema/described.ts'
import { sqliteTriggerNames } from '../../schema/triggers.ts'
import { type CheckName, type CheckReport, Findings } from '../findings.ts'
import { checkLastBackup, type LastBackup, lastBackupSql } from '../last-backup.ts'
import type { Settings } from '../options.ts'
import { checkOwnTables, type OwnTableState } from '../own-tables.ts'
import { checkRows } from '../rows.ts'
import { checkDrift, checkMigrations } from '../schema.ts'
import { checkNames, checkWalSize } from './file.ts'
import { checkFileSystem } from './file-system.ts'
import { checkIntegrity, checkMove } from './inside.ts'
import { openToLook } from './opening.ts'
import { checkRights } from './rights.ts'

/** Throws CONFIG if there is no file; BUSY, UNAVAILABLE. */
export async function checkSqlite(path: string, settings: Settings): Promise<CheckReport> {
  const findings = new Findings()
  const real = checkNames(path, findings)
  if (real === undefined) return unopened(findings, 'SQLite must not open it.')
  await findings.look('file-rights', () => checkRights(real, findings))
  await findings.look('file-system', () => checkFileSystem(real, findings))
  await findings.look('wal-size', () => checkWalSize(real, settings, findings))
  const raw = openToLook(real, settings, findings)
  if (raw === undefined) return unopened(findings, 'The file could not be opened.')
  try {
    await findings.look('open', () => {})
    await checkInside(real, raw, settings, findings)
  } catch (error) {
    throw translated(error)
  } finally {
    raw.close()
  }
  return findings.report('sqlite')
}

/** The checks that need an open file. */
const INSIDE: readonly CheckName[] = ['migrations', 'schema', 'others', 'move', 'integrity', 'last-backup', 'rows']

function unopened(findings: Findings, reason: string): CheckReport {
  findings.skip(reason, ...INSIDE)
  return findings.report('sqlite')
}

async function checkInside(real: string, raw: Sqlite.Database, settings: Settings, findings: Findings): Promise<void> {
  const { quick, busyTimeoutMs } = settings
  const look = (check: CheckName, work: () => unknown): Promise<unknown> =>
    findings.look(check, () => translating(work))
  const status = await statusOf(real, settings, findings)
  if (quick) findings.skip(QUICK, 'integrity')
  else await look('integrity', () => checkIntegrity(raw, findings))
  if (status?.state !== 'current')
    return findings.skip(status === undefined ? UNKNOWN : UNCURRENT, 'move', 'last-backup', 'rows')
  await look('schema', () => checkOwnTables(ownTablesIn(raw), sqliteTriggerNames, findings))
  await look('move', () => checkMove(raw, findings))
  await look('last-backup', () => checkBackup(raw, settings, findings))
  if (quick) findings.skip(QUICK, 'rows')
  else
    await look('rows', () =>
      withSqliteSnapshot(real, { busyTimeoutMs, anySchema: true }, (snapshot) =>
        checkRows(snapshot, findings, settings),
      ),
    )
}

const QUICK = '--quick leaves it out.'
const UNCURRENT = 'The schema is not up to date.'
const UNKNOWN = 'The migrations could not be looked at.'

async function translating(work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw translated(error)
  }
}

async function statusOf(real: string, { busyTimeoutMs }: Settings, findings: Findings): Promise<Status | undefined> {
  const found = await findings.look('migrations', async () => {
    const status = await new BusyRetry(busyTimeoutMs).run(() => inspectSqlite(real))
    checkMigrations(status, findings)
    return status
  })
  if (found === undefined) findings.skip(UNKNOWN, 'schema', 'others')
  else if (found.drift !== undefined) await findings.look(['schema', 'others'], () => checkDrift(found, findings))
  return found
}

function ownTablesIn(raw: Sqlite.Database): OwnTableState[] {
  const rows = raw
    .prepare<[string], [string, unknown]>('SELECT name, value FROM meshstore_state WHERE name GLOB ? ORDER BY name')
    .raw()
    .all(`${TABLE_ROW}*`)
  return rows.map(([row, value]) => ({ row, value, found: foundIn(raw, { name: row.slice(TABLE_ROW.length) }) }))
}

function checkBackup(raw: Sqlite.Database, { now }: Settings, findings: Findings): void {
  const found = raw
    .prepare<[], LastBackup>(lastBackupSql(ownTablesIn(raw)))
    .raw()
    .get() ?? [null, 0]
  const advice = 'Run meshstore backup create, and have it run every day; or give openStorage() backups.'
  checkLastBackup(found, findings, { now: now(), advice, never: 'warning' })
}
