/** Our tables, as the server's catalog describes them. */
import { OUR_TABLES } from '../../database/postgres/our-tables.ts'
import { MOVE, type Progress } from '../../move/live/progress.ts'
import type { Findings } from '../findings.ts'
import type { Limits } from '../options.ts'
import type { Ask } from './asking.ts'

const RIGHTS = ['SELECT', 'INSERT', 'UPDATE', 'DELETE']

/** Of pg_class, the tables that unqualified names mean. */
const IS_OURS = 'tables.relname = ANY ($1) AND pg_table_is_visible(tables.oid)'

/** What the role may do with our tables. */
export async function checkRole(ask: Ask, findings: Findings): Promise<void> {
  const grants = 'Run drizzle/postgresql-grants.sql as the owner, and GRANT meshstore_app to the role.'
  const missing = await ask<[string, string]>(
    `SELECT tables.relname, string_agg(wanted, ', ' ORDER BY position)
     FROM pg_class tables, unnest($2::text[]) WITH ORDINALITY AS rights (wanted, position)
     WHERE ${IS_OURS} AND NOT has_table_privilege(tables.oid, wanted) GROUP BY 1 ORDER BY 1`,
    [OUR_TABLES, RIGHTS],
  )
  for (const [table, rights] of missing)
    findings.add({
      severity: 'warning',
      check: 'rights',
      message: `The role may not ${rights} in ${table}.`,
      advice: `${grants} For a role that only reads: nothing, if it has SELECT.`,
      table,
    })
  const [[isSuperuser] = []] = await ask<[string]>('SHOW is_superuser')
  if (isSuperuser === 'on')
    findings.add({
      severity: 'info',
      check: 'rights',
      message: 'The role is a superuser, and the application needs no more than to read and write rows.',
      advice: `Give the application a role of its own. ${grants}`,
    })
}

/** The names of constraints that do not hold for the rows of before. */
export async function checkConstraints(ask: Ask, findings: Findings): Promise<string[]> {
  const rows = await ask<[string, string]>(
    `SELECT tables.relname, conname FROM pg_constraint JOIN pg_class tables ON tables.oid = conrelid
     WHERE ${IS_OURS} AND NOT convalidated ORDER BY 1, 2`,
    [OUR_TABLES],
  )
  for (const [table, name] of rows)
    findings.add({
      severity: 'warning',
      check: 'constraints',
      message: `${table}: the constraint ${name} is NOT VALID: it was never compared with the rows that were there before.`,
      advice: `Correct the rows that break it, then run ALTER TABLE ${table} VALIDATE CONSTRAINT ${name}.`,
      table,
    })
  return rows.map(([, name]) => name)
}

export async function checkIndexes(ask: Ask, findings: Findings): Promise<void> {
  const rows = await ask<[string, string]>(
    `SELECT tables.relname, indexrelid::regclass::text FROM pg_index JOIN pg_class tables ON tables.oid = indrelid
     WHERE ${IS_OURS} AND NOT (indisvalid AND indisready) ORDER BY 1, 2`,
    [OUR_TABLES],
  )
  for (const [table, index] of rows)
    findings.add({
      severity: 'error',
      check: 'indexes',
      message: `${table}: the index ${index} is invalid, or is being made: queries do not use it, and what it should keep unique may not be.`,
      advice: `If nobody is making it: REINDEX INDEX CONCURRENTLY ${index}, or drop it if it is not this package's.`,
      table,
    })
}

export async function checkDeadRows(ask: Ask, { deadRows }: Limits, findings: Findings): Promise<void> {
  const rows = await ask<[string, number, number]>(
    `SELECT tables.relname, n_dead_tup, n_live_tup
     FROM pg_stat_user_tables stats JOIN pg_class tables ON tables.oid = relid
     WHERE ${IS_OURS} AND n_dead_tup > n_live_tup AND n_dead_tup >= $2 ORDER BY 1`,
    [OUR_TABLES, deadRows],
  )
  for (const [table, dead, live] of rows)
    findings.add({
      severity: 'info',
      check: 'dead-rows',
      message: `${table} has ${dead} dead rows beside ${live}: it takes more space and time than it needs.`,
      advice: `See whether autovacuum runs and what holds it back; VACUUM ${table} does it now.`,
      table,
      count: dead,
    })
}

/** Whether the data of a file is still on its way here. */
export async function checkMove(ask: Ask, findings: Findings): Promise<void> {
  const [[progress] = []] = await ask<[string]>('SELECT value FROM meshstore_state WHERE name = $1', [MOVE])
  if (progress === undefined || (JSON.parse(progress) as Progress).phase === 'done') return
  findings.add({
    severity: 'warning',
    check: 'move',
    message: 'A move of a file into this database is under way, or was stopped: it may be behind the file.',
    advice: 'Finish it with meshstore move --resume, or give it up with --abort.',
  })
}
