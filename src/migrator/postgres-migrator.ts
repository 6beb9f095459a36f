import type pg from 'pg'
import { sqlstateOf, translated } from '../database/postgres/errors.ts'
import { surviving } from '../database/postgres/failover.ts'
import { note } from '../database/postgres/notes.ts'
import { StorageError } from '../errors.ts'
import { type Applying, applyPending } from './apply-postgres.ts'
import { statementsWith } from './concurrent-indexes.ts'
import {
  assertNoMove,
  assertTablesThere,
  hasOurs,
  IS_NOTE,
  LEDGER,
  type Ledger,
  lastApplied,
  type MigrationStatus,
  migrationStatus,
  NAME_PREFIX,
  pendingError,
} from './ledger.ts'
import { type Migration, migrationsOf } from './migrations.ts'
import { missingError } from './missing.ts'
import { addTo, createLedger, rowsOn } from './postgres-ledger.ts'
import { missingInPostgres, type Queryable } from './postgres-missing.ts'
import { type MigrationOptions, timeOf } from './steps.ts'

const OUR_TABLES = ['nodes', 'policies', 'path_cache', 'meshstore_state']

/**
 * Whether no migration is pending. Throws SCHEMA_MISMATCH if a pending migration must not be applied, and what
 * `migrationStatus()` throws.
 */
export async function checkPostgres(
  pool: pg.Pool,
  mode: 'apply' | 'check',
  known: readonly Migration[] = migrationsOf('postgresql'),
): Promise<boolean> {
  const ledger = await ledgerOf(pool)
  const found = migrationStatus(known, ledger)
  if (found.pending.length === 0) {
    assertTablesThere(found, ledger)
    const problem = await missingFrom(pool, known, found.newer)
    if (problem !== undefined) throw problem
    return true
  }
  if (mode === 'apply') return false
  throw pendingError(found)
}

/** SCHEMA_MISMATCH if the tables of an open database lost a part. Throws what `migrationStatus()` throws. */
export async function problemOf(on: Queryable): Promise<StorageError | undefined> {
  const found = await migrationStatusOf(on)
  return found.pending.length > 0 ? pendingError(found) : missingFrom(on, migrationsOf('postgresql'), found.newer)
}

/** Skipped for a newer version's tables: this version does not know their triggers. */
const missingFrom = async (
  on: Queryable,
  applied: readonly Migration[],
  newer: MigrationStatus['newer'],
): Promise<StorageError | undefined> =>
  newer.length > 0 ? undefined : missingError(await missingInPostgres(on, applied))

/**
 * Applies the pending migrations, each in its own transaction. One process at a time: it takes the lock, then reads the
 * ledger again.
 *
 * Throws what `migrationStatus()` throws, SCHEMA_MISMATCH for tables that no migration made, and a failing migration's
 * error. A failing migration is rolled back; the migrations before it stay.
 */
export async function migratePostgres(
  pool: pg.Pool,
  options: MigrationOptions = {},
  known: readonly Migration[] = migrationsOf('postgresql'),
): Promise<void> {
  // The ledger tells whether a migration whose server was lost has been applied.
  const problem = await surviving(pool, async () => {
    const applying: Applying = {
      isPending: async () => (await migrationStatusOf(pool, known)).pending.length > 0,
      nextIn: async (client) => {
        const ledger = await ledgerOf(client)
        const [next] = migrationStatus(known, ledger).pending
        if (next === undefined) return undefined
        assertNoMove(ledger)
        if (!hasOurs(known, ledger)) await refuseUnrecorded(client)
        return next
      },
      apply: (client, next) => apply(client, next, timeOf(options)),
      failed,
    }
    await applyPending(pool, applying, options)
    return missingFrom(pool, known, [])
  })
  if (problem !== undefined) throw problem
}

async function apply(client: pg.PoolClient, migration: Migration, time: Date): Promise<void> {
  try {
    for (const statement of await statementsWith(client, migration)) await client.query(statement)
    await record(client, migration, time)
  } catch (error) {
    throw failed(migration, translated(error))
  }
}

/** Records an applied migration in the ledger and in `meshstore_state`. */
export async function record(client: pg.PoolClient, migration: Migration, time: Date): Promise<void> {
  await createLedger(client, LEDGER)
  await addTo(client, LEDGER, migration)
  await note((text, values) => client.query(text, values), `${NAME_PREFIX}${migration.when}`, migration.tag, time)
}

function failed({ file }: Migration, error: unknown): unknown {
  const reason = asOwner(error)
  if (!(reason instanceof StorageError)) return error
  const message = `${file} failed. The migration was rolled back. Correct the cause, then migrate again: ${reason.message}`
  return new StorageError(reason.code, message, { cause: reason.cause ?? reason })
}

/** Names the tables' owner in the error if the role may not change the schema. */
export function asOwner(error: unknown): unknown {
  if (!(error instanceof StorageError) || sqlstateOf(error) !== '42501') return error
  const message =
    'the role may not change the schema. Run it as the owner; drizzle/postgresql-grants.sql then gives this role what it needs.'
  return new StorageError(error.code, message, { cause: error.cause ?? error })
}

/** Throws SCHEMA_MISMATCH. */
export async function refuseUnrecorded(on: Queryable): Promise<void> {
  const found = await tablesIn(on, OUR_TABLES)
  if (found.length === 0) return
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `The database has tables that no migration made (${found.join(', ')}). Nothing was changed. If they are this package's, restored without the schema drizzle for example, run meshstore migrate adopt, which compares and records them. If not, use another database or schema.`,
  )
}

/** The last migration that was applied, or `none`. */
export const schemaVersionOf = async (on: Queryable): Promise<string> =>
  lastApplied(migrationsOf('postgresql'), await ledgerOf(on))

/** Throws what `migrationStatus()` throws. */
export const migrationStatusOf = async (on: Queryable, known = migrationsOf('postgresql')): Promise<MigrationStatus> =>
  migrationStatus(known, await ledgerOf(on))

export async function ledgerOf(on: Queryable): Promise<Ledger> {
  // Reads the catalog: to_regclass() answers from this session's cache, which is older than the lock.
  const { rows: found } = await on.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE (nspname = 'drizzle' AND relname = '${LEDGER}')
        OR (nspname = ANY (current_schemas(false)) AND relname = 'meshstore_state' AND relkind IN ('r', 'p'))`,
  )
  const has = (name: string): boolean => found.some((table) => table.name === name)
  const rows = has(LEDGER) ? await rowsOn(on, LEDGER) : []
  const notes = has('meshstore_state')
    ? (await on.query<{ name: string; value: string }>(`SELECT name, value FROM meshstore_state WHERE ${IS_NOTE}`)).rows
    : []
  return {
    rows,
    notes: new Map(notes.map(({ name, value }) => [name, value])),
    hasState: has('meshstore_state'),
  }
}

/** Whether there are tables of ours that the ledger does not record. */
export const isUnrecorded = async (on: Queryable): Promise<boolean> =>
  !hasOurs(migrationsOf('postgresql'), await ledgerOf(on)) && (await tablesIn(on, OUR_TABLES)).length > 0

/** The names that are tables in the search path. */
async function tablesIn(on: Queryable, names: readonly string[]): Promise<string[]> {
  const { rows } = await on.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE nspname = ANY (current_schemas(false)) AND relname = ANY ($1) AND relkind IN ('r', 'p', 'v', 'm', 'f')`,
    [names],
  )
  return names.filter((name) => rows.some((row) => row.name === name))
}
