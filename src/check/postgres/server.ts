/** Checks the server's settings and the role's rights. */

import { noteIn } from '../../database/postgres/notes.ts'
import type { Ask } from '../../database/postgres/single.ts'
import { APP_LEDGER } from '../../migrator/app-ledger.ts'
import { foundTables } from '../../migrator/own-postgres.ts'
import { MOVE, type Progress } from '../../move/live/progress.ts'
import { TABLE_ROW } from '../../schema/described.ts'
import { OUR_TABLES } from '../../schema/tables.ts'
import type { Finding, Findings } from '../findings.ts'
import type { OwnTableState } from '../own-tables.ts'

interface Rule {
  readonly severity: Finding['severity']
  readonly bad: readonly string[]
  readonly message: string
  readonly advice: string
}

const SETTINGS: Readonly<Record<string, Rule>> = {
  fsync: {
    severity: 'error',
    bad: ['off'],
    message: 'fsync is off: a power cut may destroy the whole database.',
    advice: 'Set fsync = on in postgresql.conf, reload, and make a backup.',
  },
  full_page_writes: {
    severity: 'error',
    bad: ['off'],
    message: 'full_page_writes is off: a power cut may leave half-written pages, which cannot be repaired.',
    advice: 'Set full_page_writes = on, unless the file system itself prevents this.',
  },
  synchronous_commit: {
    severity: 'warning',
    bad: ['off'],
    message: 'synchronous_commit is off for this role: writes that were acknowledged may be lost in a crash.',
    advice:
      'Set synchronous_commit = on for the server, the database or the role; who may lose moments asks for durability: normal.',
  },
  default_transaction_read_only: {
    severity: 'warning',
    bad: ['on'],
    message: 'default_transaction_read_only is on for this role: it can write nothing.',
    advice: 'Unset it for the role, or the database, that the application uses.',
  },
}

export async function checkSettings(ask: Ask, findings: Findings): Promise<void> {
  const names = Object.keys(SETTINGS)
  for (const [name, value] of await ask<[string, string]>(
    'SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY ($1)',
    [names],
  )) {
    const { bad = [], ...rule } = SETTINGS[name] ?? {}
    if (bad.includes(value)) findings.add({ check: 'settings', ...(rule as Omit<Rule, 'bad'>) })
  }
}

const RIGHTS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']

const GRANTS = 'Run drizzle/postgresql-grants.sql as the owner, and GRANT meshstore_app to the role.'

/** Checks the role's rights on our tables, and on the ledger of the application's migrations. */
export async function checkRole(ask: Ask, findings: Findings): Promise<void> {
  const ledger = `drizzle.${APP_LEDGER}`
  const denied = await ask(
    `SELECT FROM pg_class JOIN pg_namespace schemas ON schemas.oid = relnamespace
     WHERE nspname = 'drizzle' AND relname = $1
       AND NOT (has_schema_privilege(schemas.oid, 'USAGE') AND has_table_privilege(pg_class.oid, 'SELECT'))`,
    [APP_LEDGER],
  )
  if (denied.length > 0)
    findings.add({
      severity: 'warning',
      check: 'rights',
      message: `The role may not SELECT in ${ledger}: it cannot open the database with the application's migrations.`,
      advice: GRANTS,
      table: ledger,
    })
  const missing = await ask<[string, string]>(
    `SELECT tables.relname, string_agg(wanted, ', ' ORDER BY position)
     FROM pg_class tables, unnest($2::text[]) WITH ORDINALITY AS rights (wanted, position)
     WHERE tables.relname = ANY ($1) AND pg_table_is_visible(tables.oid) AND NOT has_table_privilege(tables.oid, wanted) GROUP BY 1 ORDER BY 1`,
    [OUR_TABLES, RIGHTS],
  )
  for (const [table, rights] of missing)
    findings.add({
      severity: 'warning',
      check: 'rights',
      message: `The role may not ${rights} in ${table}.`,
      advice: `${GRANTS} For a role that only reads: nothing, if it has SELECT.`,
      table,
    })
}

/** Reports a move to this database that has not ended. */
export async function checkMove(ask: Ask, findings: Findings): Promise<void> {
  const progress = await noteIn(ask, MOVE)
  if (progress === undefined || (JSON.parse(progress) as Progress).phase === 'done') return
  findings.add({
    severity: 'warning',
    check: 'move',
    message: 'A move of a file into this database is under way, or was stopped: it may be behind the file.',
    advice: 'Finish it with meshstore move --resume, or give it up with --abort.',
  })
}

/** The tables that `meshstore_state` describes, and the role's rights on them. */
export async function ownTablesOn(ask: Ask): Promise<OwnTableState[]> {
  const rows = await ask<[string, string]>(
    'SELECT name, value FROM meshstore_state WHERE starts_with(name, $1) ORDER BY name',
    [TABLE_ROW],
  )
  if (rows.length === 0) return []
  const nameOf = (row: string): string => row.slice(TABLE_ROW.length)
  const names = rows.map(([row]) => nameOf(row))
  const found = await foundTables(ask, names)
  const missing = new Map(
    await ask<[string, string]>(
      `SELECT relname, string_agg(wanted, ',' ORDER BY position)
       FROM pg_class, unnest($2::text[]) WITH ORDINALITY AS rights (wanted, position)
       WHERE relname = ANY ($1) AND relnamespace = current_schema()::regnamespace AND NOT has_table_privilege(oid, wanted)
       GROUP BY 1`,
      [names, RIGHTS],
    ),
  )
  return rows.map(([row, value]) => ({
    row,
    value,
    found: found.get(nameOf(row)) ?? { columns: [], triggers: new Set() },
    lacking: missing.get(nameOf(row))?.split(',') ?? [],
  }))
}
