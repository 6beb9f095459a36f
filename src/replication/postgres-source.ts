import { PostgresChangeLog } from '../database/postgres/change-log.ts'
import { ONLY_READS } from '../database/postgres/pool.ts'
import type { PostgresDatabase } from '../database/postgres/postgres-database.ts'
import { type Ask, onSingle, openSingle } from '../database/postgres/single.ts'
import { columnsAsText, snapshotOf } from '../rows/postgres-source.ts'
import { quotedName } from '../schema/described.ts'
import { leftBehindOf } from './left-behind.ts'
import { refuseWrites } from './postgres-standby.ts'
import type { CommittedState, Source } from './source.ts'
import { isReplicated } from './tables.ts'

/** Times keep all their digits on any role. A base's reader may be slow, so that its transaction stands idle. */
const EXACT = 'SET LOCAL extra_float_digits = 1'
const BEGIN = [
  'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
  EXACT,
  'SET LOCAL idle_in_transaction_session_timeout = 0',
]

export const postgresSource = (database: PostgresDatabase): Source => ({
  session: database,
  changeLog: database.changeLog,
  withState: async (work, { long = false } = {}) => {
    if (long) return onOwnConnection(database, async (ask) => work(await stateOf(ask, await database.schemaVersion())))
    const version = await database.schemaVersion()
    return database.inOwnTransaction('REPEATABLE READ READ ONLY', async (ask) => {
      await ask(EXACT)
      return work(await stateOf(ask, version))
    })
  },
  refuseWrites: (mark, at) => database.inOwnTransaction('READ COMMITTED', (ask) => refuseWrites(ask, mark, at)),
  behind: async (at) => {
    const [hasNews] = await database.changeLog.news([at])
    return hasNews ? undefined : 0
  },
})

/** The store's pool may have a single connection, which others need meanwhile. */
async function onOwnConnection<T>(database: PostgresDatabase, work: (ask: Ask) => Promise<T>): Promise<T> {
  const { target, mode, busyTimeoutMs } = database.server
  const applicationName = mode === 'session' ? `${target.applicationName}${ONLY_READS}` : target.applicationName
  await using pool = openSingle({ ...target, applicationName }, { busyTimeoutMs, mode, readOnly: true })
  return await onSingle(pool, async (ask) => {
    for (const statement of BEGIN) await ask(statement)
    return work(ask)
  })
}

async function stateOf(ask: Ask, schemaVersion: string): Promise<CommittedState> {
  // The log's own statements, in this transaction: its snapshot is that of the rows.
  const log = new PostgresChangeLog({ inOwnTransaction: (_, work) => work(ask), earlierWritersEnded: async () => true })
  const snapshot = snapshotOf(ask, schemaVersion, { asStored: true })
  return {
    schemaVersion,
    changes: (from, limit) => log.read(from, limit),
    rows: (table, keys) =>
      ask(
        `SELECT ${columnsAsText(table)} FROM ${quotedName(table.name)} WHERE ${quotedName(table.key.name)} = ANY($1::text[])`,
        [keys],
      ),
    slices: (table) => snapshot.slices(table),
    tables: async () => (await snapshot.tables()).tables.filter(isReplicated),
    appMigrations: () => snapshot.appMigrations(),
    leftBehind: () => leftBehindOf(snapshot),
  }
}
