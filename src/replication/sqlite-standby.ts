import type Sqlite from 'better-sqlite3'
import { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { translated, translatedCommit } from '../database/sqlite/errors.ts'
import { prepareFile } from '../database/sqlite/file.ts'
import { forget, note, noteIn } from '../database/sqlite/notes.ts'
import { openConnection, prepareWriter } from '../database/sqlite/raw-connection.ts'
import { APPLYING, allowWrites, refuseWrites } from '../database/sqlite/standby.ts'
import { machineTime } from '../event-loop.ts'
import { tablesIn } from '../rows/sqlite-tables.ts'
import { taken } from '../rows/target.ts'
import { quotedName } from '../schema/described.ts'
import { targetOn } from './sqlite-target.ts'
import { type Mark, Overtaken, STANDBY, type Standby } from './standby.ts'
import { isReplicated } from './tables.ts'

/** Names of the tables that a follower writes. */
export const namesIn = (raw: Sqlite.Database): string[] =>
  tablesIn(raw)
    .tables.filter(isReplicated)
    .map(({ name }) => name)

/** Opens a file with the current schema. Throws StorageErrors. */
export async function openSqliteStandby(path: string, busyTimeoutMs: number, now = machineTime): Promise<Standby> {
  const busyRetry = new BusyRetry(busyTimeoutMs)
  const file = prepareFile(path, { create: false })
  const raw = await busyRetry.run(() => openConnection(file, { readOnly: false }))
  await prepareWriter(raw, 'full', busyRetry)
  // A segment is a committed state of the source, whose foreign keys held. In between they need not.
  raw.pragma('foreign_keys = OFF')
  const transaction = async <T>(work: () => T | Promise<T>): Promise<T> => {
    try {
      await busyRetry.run(() => raw.exec('BEGIN IMMEDIATE'))
      const result = await work()
      commit(raw)
      return result
    } catch (error) {
      throw translated(error)
    } finally {
      if (raw.inTransaction) raw.exec('ROLLBACK')
    }
  }
  const assertAt = (seen: Mark): void => {
    if (noteIn(raw, STANDBY) !== JSON.stringify(seen)) throw new Overtaken(file)
  }
  return {
    name: file,
    mark: async () => {
      const value = await busyRetry.run(() => noteIn(raw, STANDBY))
      return value === undefined ? undefined : (JSON.parse(value) as Mark)
    },
    begin: (mark) =>
      transaction(() => {
        for (const name of namesIn(raw))
          if (raw.prepare(`SELECT 1 FROM ${quotedName(name)} LIMIT 1`).get() !== undefined) throw taken(name)
        refuseWrites(raw, namesIn(raw))
        note(raw, STANDBY, JSON.stringify(mark), now())
      }),
    tables: async () => tablesIn(raw),
    guard: (seen) =>
      transaction(() => {
        assertAt(seen)
        refuseWrites(raw, namesIn(raw))
      }),
    apply: (seen, work) =>
      transaction(async () => {
        assertAt(seen)
        note(raw, APPLYING, '', now())
        const done = await work({
          target: targetOn(raw),
          note: async (mark) => void note(raw, STANDBY, JSON.stringify(mark), now()),
        })
        forget(raw, APPLYING)
        return done
      }),
    release: (seen, { name, value }) =>
      transaction(() => {
        assertAt(seen)
        allowWrites(raw)
        forget(raw, STANDBY)
        note(raw, name, value, now())
      }),
    close: async () => void raw.close(),
  }
}

function commit(raw: Sqlite.Database): void {
  try {
    raw.exec('COMMIT')
  } catch (error) {
    throw translatedCommit(error)
  }
}
