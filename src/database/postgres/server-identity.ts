/** Detects that the database was restored on another server, where the stored transaction ids have no meaning. */
import { machineTime } from '../../event-loop.ts'
import { encodeTime } from '../../schema/codecs.ts'
import type { OwnTransaction } from './session-control.ts'
import type { Ask } from './single.ts'

interface Host {
  inOwnTransaction<T>(isolation: OwnTransaction, work: (ask: Ask) => Promise<T>): Promise<T>
}

/** The row of meshstore_state with the server's system identifier, if the role may read it. */
const SERVER = 'server'
const MAY_ASK = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
const IDENTIFIER = 'SELECT system_identifier::text FROM pg_control_system()'
const NOTED = `SELECT value FROM meshstore_state WHERE name = '${SERVER}'`
const LOCK = `INSERT INTO meshstore_state (name, value, updated_at) VALUES ('${SERVER}', '', $1)
  ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING value`
const NOTE = `UPDATE meshstore_state SET value = $1, updated_at = $2 WHERE name = '${SERVER}'`
/** A stored transaction id at or above the server's next id came from another server. */
const IS_AHEAD = `SELECT EXISTS (SELECT 1 FROM path_cache_marks WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot()))
  OR EXISTS (SELECT 1 FROM path_cache_stamps WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot()))
  OR EXISTS (SELECT 1 FROM meshstore_changes WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot()))
  OR EXISTS (SELECT 1 FROM meshstore_consumers WHERE name <> ''
    AND pg_snapshot_xmax(split_part(position, '/', 1)::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()))`
const FORGET = [
  "DELETE FROM meshstore_state WHERE name = 'change_log'",
  'DELETE FROM meshstore_consumers',
  'DELETE FROM meshstore_changes',
  'DELETE FROM path_cache_stamps',
  'DELETE FROM path_cache_marks',
]
/** Invalidates all cached paths: their seen positions are transaction ids. */
const INVALIDATE = 'INSERT INTO path_cache_marks (marked_at) VALUES ($1)'

/**
 * If a dump was restored on another server, begins a new change log, which refuses all tokens, and invalidates all cached paths. A
 * promoted standby counts as the same server.
 */
export async function beginAnewOnAnotherServer(database: Host, clock = machineTime): Promise<void> {
  const isKnown = await database.inOwnTransaction('REPEATABLE READ READ ONLY', async (ask) => {
    const [noted] = await ask<[string]>(NOTED)
    return noted !== undefined && isSame(noted[0], await identifier(ask)) && !(await isAhead(ask))
  })
  if (isKnown) return
  await database.inOwnTransaction('READ COMMITTED', async (ask) => {
    const now = encodeTime(clock())
    const [noted] = await ask<[string]>(LOCK, [now])
    const here = await identifier(ask)
    const isAnother = noted !== undefined && noted[0] !== '' && !isSame(noted[0], here)
    if (isAnother || (await isAhead(ask))) {
      for (const sql of FORGET) await ask(sql)
      await ask(INVALIDATE, [now])
    }
    if (here !== undefined) await ask(NOTE, [here, now])
  })
}

const isSame = (noted: string, here: string | undefined): boolean => here === undefined || noted === here

/** `undefined` if the role may not read the system identifier. */
async function identifier(ask: Ask): Promise<string | undefined> {
  const [may] = await ask<[boolean]>(MAY_ASK)
  if (may?.[0] !== true) return undefined
  const [row] = await ask<[string]>(IDENTIFIER)
  return row?.[0]
}

async function isAhead(ask: Ask): Promise<boolean> {
  const [row] = await ask<[boolean]>(IS_AHEAD)
  return row?.[0] === true
}
