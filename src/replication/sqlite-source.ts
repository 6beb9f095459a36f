import type Sqlite from 'better-sqlite3'
import { changesAfter, LOG, newest, seqOf } from '../database/sqlite/change-log.ts'
import { note, noteIn } from '../database/sqlite/notes.ts'
import type { SqliteDatabase } from '../database/sqlite/sqlite-database.ts'
import { refuseWrites } from '../database/sqlite/standby.ts'
import { rowsOf, snapshotOf } from '../rows/sqlite-source.ts'
import { leftBehindOf } from './left-behind.ts'
import type { CommittedState, Source } from './source.ts'
import { namesIn } from './sqlite-standby.ts'
import { STANDBY } from './standby.ts'
import { isReplicated } from './tables.ts'

export const sqliteSource = (database: SqliteDatabase): Source => ({
  session: database,
  changeLog: database.changeLog,
  withState: (work) => database.withSnapshot('the replication', ({ raw }, ended) => work(stateOf(raw, ended))),
  refuseWrites: (mark, at) =>
    database.onWriter((writer) =>
      writer.savepoint(() => {
        refuseWrites(writer.raw, namesIn(writer.raw))
        note(writer.raw, STANDBY, JSON.stringify(mark), at)
      }),
    ),
  behind: ({ position }) => database.onReader(({ raw }) => seqOf(newest(raw)) - seqOf(position)),
})

function stateOf(raw: Sqlite.Database, ended: AbortSignal): CommittedState {
  const snapshot = snapshotOf(raw, { asStored: true, ended })
  return {
    schemaVersion: snapshot.schemaVersion,
    changes: async ({ log, position }, limit) =>
      noteIn(raw, LOG) === log ? changesAfter(raw, position, limit) : undefined,
    rows: async (table, keys) => rowsOf(raw, table, { keys }),
    slices: (table) => snapshot.slices(table),
    tables: async () => (await snapshot.tables()).tables.filter(isReplicated),
    appMigrations: () => snapshot.appMigrations(),
    leftBehind: () => leftBehindOf(snapshot),
  }
}
