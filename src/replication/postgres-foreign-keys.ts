/**
 * The foreign keys of a standby's own tables are checked at the end of a segment and have no actions, until the promotion: a child's
 * line may precede its parent's, and a cascade of the source is in the segment as lines of its own.
 */
import { forget, note, noteIn } from '../database/postgres/notes.ts'
import type { Ask } from '../database/postgres/single.ts'
import { quotedName as quoted } from '../schema/described.ts'

/** The row of meshstore_state that lists the constraints that were changed. */
const DEFERRED = 'replica_deferred'
const CONSTRAINTS = `SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid),
    (confdeltype <> 'a' OR confupdtype <> 'a')::text
  FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND conrelid = ANY($1::text[]::regclass[])
    AND (NOT condeferrable OR confdeltype <> 'a' OR confupdtype <> 'a')`
/** The end of a definition as PostgreSQL prints it. */
const ACTION = '(?:RESTRICT|CASCADE|SET NULL|SET DEFAULT)'
const ENDING = new RegExp(
  `( ON UPDATE ${ACTION})?( ON DELETE ${ACTION}(?: \\([^)]*\\))?)?( DEFERRABLE)?( INITIALLY DEFERRED)?( NOT VALID)?$`,
)

/** `definition`: of a constraint that was replaced, as it was before. */
type Changed = readonly [table: string, constraint: string, definition?: string]

export async function defer(ask: Ask, tables: readonly string[], at: Date): Promise<void> {
  if (tables.length === 0) return
  const found = await ask<[string, string, string, string]>(CONSTRAINTS, [tables.map(quoted)])
  if (found.length === 0) return
  const changed: Changed[] = []
  for (const [table, constraint, definition, hasActions] of found) {
    if (hasActions === 'true') await replace(ask, [table, constraint, definition.replace(ENDING, ' DEFERRABLE')])
    else await ask(`ALTER TABLE ${table} ALTER CONSTRAINT ${constraint} DEFERRABLE`)
    changed.push(hasActions === 'true' ? [table, constraint, definition] : [table, constraint])
  }
  await note(ask, DEFERRED, JSON.stringify([...(await deferred(ask)), ...changed]), at)
}

/** Checks every row of the tables whose constraints had actions. */
export async function deferNoMore(ask: Ask): Promise<void> {
  for (const [table, constraint, definition] of await deferred(ask)) {
    if (definition !== undefined) await replace(ask, [table, constraint, definition])
    else await ask(`ALTER TABLE ${table} ALTER CONSTRAINT ${constraint} NOT DEFERRABLE`)
  }
  await forget(ask, DEFERRED)
}

async function replace(ask: Ask, [table, constraint, definition]: Required<Changed>): Promise<void> {
  await ask(`ALTER TABLE ${table} DROP CONSTRAINT ${constraint}, ADD CONSTRAINT ${constraint} ${definition}`)
}

async function deferred(ask: Ask): Promise<readonly Changed[]> {
  const found = await noteIn(ask, DEFERRED)
  return found === undefined ? [] : JSON.parse(found)
}
