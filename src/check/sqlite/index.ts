import type Sqlite from 'better-sqlite3'
import { Patience } from '../../database/sqlite/connection.ts'
import { translated } from '../../database/sqlite/errors.ts'
import type { Status } from '../../migrator/inspection.ts'
import { inspectSqlite } from '../../migrator/sqlite-inspection.ts'
import { withSqliteSnapshot } from '../../rows/sqlite-source.ts'
import { type CheckName, type CheckReport, Findings } from '../findings.ts'
import { checkBackups, HAS_ROWS, lastBackupIn, NOTES, type Note } from '../notes.ts'
import type { Settings } from '../options.ts'
import { checkRows, ROW_CHECKS } from '../rows.ts'
import { checkDrift, checkStanding } from '../standing.ts'
import { checkDisk } from './disk.ts'
import { checkEncoding, checkJournalMode, checkPages, journalModeOf } from './header.ts'
import { checkMove } from './move.ts'
import { checkNames, checkUnfinished, checkWalSize } from './names.ts'
import { openToLook } from './opening.ts'
import { checkRights } from './rights.ts'
import { checkForeignKeys, checkIntegrity } from './soundness.ts'

/** Throws CONFIG if there is no file; BUSY, UNAVAILABLE. */
export async function checkSqlite(path: string, settings: Settings): Promise<CheckReport> {
  const findings = new Findings()
  const real = checkNames(path, findings)
  if (real === undefined) return unopened(findings, 'SQLite must not open it.')
  await findings.look('links', () => {})
  await checkAround(real, settings, findings)
  const raw = openToLook(real, settings, findings)
  if (raw === undefined) return unopened(findings, 'The file could not be opened.')
  try {
    await checkInside(real, raw, settings, findings)
  } catch (error) {
    throw translated(error)
  } finally {
    raw.close()
  }
  return findings.report('sqlite')
}

async function checkAround(real: string, { now, limits }: Settings, findings: Findings): Promise<void> {
  await findings.look('file-rights', () => checkRights(real, findings))
  await findings.look(['disk-space', 'file-system'], () => checkDisk(real, findings))
  await findings.look('unfinished-files', () => checkUnfinished(real, now(), findings))
  await findings.look('wal-size', () => checkWalSize(real, limits, findings))
}

/** What needs the file to be open. */
const INSIDE: readonly CheckName[] = [
  'version',
  'journal-mode',
  'encoding',
  'pages',
  'migrations',
  'schema',
  'others',
  'move',
  'integrity',
  'foreign-keys',
  'notes',
  'last-backup',
  'rows',
  'postgresql',
  'expired-paths',
  'clock',
]

function unopened(findings: Findings, reason: string): CheckReport {
  findings.skip(reason, ...INSIDE)
  return findings.report('sqlite')
}

async function checkInside(real: string, raw: Sqlite.Database, settings: Settings, findings: Findings): Promise<void> {
  const { quick, limits, busyTimeoutMs } = settings
  const look = (checks: CheckName | readonly CheckName[], work: () => unknown): Promise<unknown> =>
    findings.look(checks, () => translating(work))
  // Opening it asserted that it is none of those that can damage a log.
  await look(['open', 'sidecars', 'version'], () => {})
  await look('journal-mode', () => checkJournalMode(journalModeOf(raw), findings))
  await look('encoding', () => checkEncoding(raw, findings))
  await look('pages', () => checkPages(raw, limits, findings))
  const status = await standingOf(real, settings, findings)
  if (quick) findings.skip(QUICK, 'integrity', 'foreign-keys')
  else {
    await look('integrity', () => checkIntegrity(raw, findings))
    await look('foreign-keys', () => checkForeignKeys(raw, findings))
  }
  const checks: readonly CheckName[] = [...ROW_CHECKS, 'postgresql']
  if (status?.state !== 'current')
    findings.skip(status === undefined ? UNKNOWN : UNCURRENT, 'move', 'notes', 'last-backup', ...checks)
  else {
    await look('move', () => checkMove(raw, findings))
    await look(['notes', 'last-backup'], () => checkNotes(raw, settings, findings))
    if (quick) findings.skip(QUICK, ...checks)
    else
      await look(checks, () =>
        withSqliteSnapshot(real, { busyTimeoutMs }, (snapshot) =>
          checkRows(snapshot, findings, { ...settings, mayMove: true }),
        ),
      )
  }
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

async function standingOf(real: string, { busyTimeoutMs }: Settings, findings: Findings): Promise<Status | undefined> {
  const found = await findings.look('migrations', async () => {
    const status = await new Patience(busyTimeoutMs).retry(() => inspectSqlite(real))
    checkStanding(status, findings)
    return status
  })
  if (found === undefined) findings.skip(UNKNOWN, 'schema', 'others')
  else if (found.drift !== undefined) await findings.look(['schema', 'others'], () => checkDrift(found, findings))
  return found
}

function checkNotes(raw: Sqlite.Database, settings: Settings, findings: Findings): void {
  const last = lastBackupIn(raw.prepare<[], Note>(NOTES).raw().iterate(), findings)
  const hasRows = raw.prepare(HAS_ROWS).pluck().get() === 1
  const advice = 'Run meshstore backup create, and have it run every day; or give openStorage() backups.'
  checkBackups({ last, hasRows, advice, never: 'warning' }, findings, settings)
}
