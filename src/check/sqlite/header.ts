/** What the file says of itself. */
import type Sqlite from 'better-sqlite3'
import type { Findings } from '../findings.ts'
import type { Limits } from '../options.ts'

const asked = (raw: Sqlite.Database, name: string): unknown => raw.pragma(name, { simple: true })

export const journalModeOf = (raw: Sqlite.Database): string => String(asked(raw, 'journal_mode'))

export function checkJournalMode(mode: string, findings: Findings): void {
  if (mode === 'wal') return
  findings.add({
    severity: 'info',
    check: 'journal-mode',
    message: `The file has no write-ahead log (its journal's mode is ${mode}): readers and writers wait for each other.`,
    advice: 'Nothing: the library changes it when it opens the file to write.',
  })
}

export function checkEncoding(raw: Sqlite.Database, findings: Findings): void {
  const encoding = String(asked(raw, 'encoding'))
  if (encoding === 'UTF-8') return
  findings.add({
    severity: 'warning',
    check: 'encoding',
    message: `The file's encoding is ${encoding}, in which keys have another order than in UTF-8.`,
    advice: 'Export it, and import that into a new file: meshstore export, meshstore import.',
  })
}

const USUAL_PAGE = 4_096

export function checkPages(raw: Sqlite.Database, { unusedBytes }: Limits, findings: Findings): void {
  const [pageSize, pages, unused] = ['page_size', 'page_count', 'freelist_count'].map((name) =>
    Number(asked(raw, name)),
  )
  if (pageSize === undefined || pages === undefined || unused === undefined) return
  if (pageSize !== USUAL_PAGE)
    findings.add({
      severity: 'info',
      check: 'pages',
      message: `The file has pages of ${pageSize} bytes; ${USUAL_PAGE} are usual.`,
      advice: 'Nothing: everything works, if not as fast.',
    })
  if (asked(raw, 'auto_vacuum') !== 0)
    findings.add({
      severity: 'info',
      check: 'pages',
      message: 'The file gives back its unused pages (auto_vacuum), which costs time at every write.',
      advice: 'Nothing: everything works, if not as fast.',
    })
  if (unused * 2 <= pages || unused * pageSize < unusedBytes) return
  findings.add({
    severity: 'info',
    check: 'pages',
    message: `${unused} of ${pages} pages are unused: they are used again before the file grows.`,
    advice: 'To give the space back to the disk, stop what uses the database and run VACUUM in the sqlite3 shell.',
    count: unused,
  })
}
