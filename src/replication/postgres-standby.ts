import { forget, note, noteIn } from '../database/postgres/notes.ts'
import { type Ask, askOn, connected, openSingle } from '../database/postgres/single.ts'
import { type PostgresTarget, placeOf } from '../database/postgres/url.ts'
import { machineTime } from '../event-loop.ts'
import { ownOf } from '../rows/own-tables.ts'
import { tablesOn } from '../rows/postgres-tables.ts'
import { taken } from '../rows/target.ts'
import { quotedName as quoted } from '../schema/described.ts'
import type { Table } from '../schema/tables.ts'
import { defer, deferNoMore } from './postgres-foreign-keys.ts'
import { targetOn } from './postgres-target.ts'
import { type Mark, Overtaken, STANDBY, type Standby } from './standby.ts'
import { isReplicated } from './tables.ts'

const BEGIN = [
  'BEGIN ISOLATION LEVEL READ COMMITTED',
  'SET LOCAL idle_in_transaction_session_timeout = 0',
  'SET LOCAL extra_float_digits = 1',
]
/** While the row is there, which is only inside the follower's transaction, the triggers let writes pass. */
const APPLYING = 'replica_applying'
const FUNCTION = `CREATE OR REPLACE FUNCTION meshstore_standby() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = '${APPLYING}') THEN
    RAISE EXCEPTION 'meshstore: this database is a standby' USING ERRCODE = 'MS001';
  END IF;
  RETURN NULL;
END $$`
const triggerOn = (table: string): string => quoted(`${table}_standby`)

/** The tables that a follower writes. */
const tablesTo = async (ask: Ask): Promise<Table[]> => (await tablesOn(ask)).tables.filter(isReplicated)

const deferOwn = async (ask: Ask, at: Date): Promise<void> =>
  defer(
    ask,
    ownOf(await tablesTo(ask)).map(({ name }) => name),
    at,
  )

/** In an open transaction. */
export async function refuseWrites(ask: Ask, mark: Mark, at: Date): Promise<void> {
  await refuse(ask)
  await note(ask, STANDBY, JSON.stringify(mark), at)
}

async function refuse(ask: Ask): Promise<void> {
  await ask(FUNCTION)
  for (const { name } of await tablesTo(ask)) {
    await ask(`DROP TRIGGER IF EXISTS ${triggerOn(name)} ON ${quoted(name)}`)
    await ask(`CREATE TRIGGER ${triggerOn(name)} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ${quoted(name)}
      FOR EACH STATEMENT EXECUTE FUNCTION meshstore_standby()`)
  }
}

/** Opens a database with the current schema. The role must own the tables. Throws StorageErrors. */
export async function openPostgresStandby(
  target: PostgresTarget,
  busyTimeoutMs: number,
  now = machineTime,
): Promise<Standby> {
  const pool = openSingle(target, { busyTimeoutMs })
  const client = await connected(pool)
  const ask = askOn(client)
  const transaction = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      for (const statement of BEGIN) await ask(statement)
      const result = await work()
      await ask('COMMIT')
      return result
    } catch (error) {
      await ask('ROLLBACK').catch(() => {})
      throw error
    }
  }
  /** Locks the mark's row: another follower, or a promotion, waits with its change until this transaction has ended. */
  const assertAt = async (seen: Mark): Promise<void> => {
    const [row] = await ask<[string]>('SELECT value FROM meshstore_state WHERE name = $1 FOR UPDATE', [STANDBY])
    if (row?.[0] !== JSON.stringify(seen)) throw new Overtaken(placeOf(target))
  }
  return {
    name: placeOf(target),
    mark: async () => {
      const value = await noteIn(ask, STANDBY)
      return value === undefined ? undefined : (JSON.parse(value) as Mark)
    },
    begin: (mark) =>
      transaction(async () => {
        for (const { name } of await tablesTo(ask))
          if ((await ask(`SELECT 1 FROM ${quoted(name)} LIMIT 1`)).length > 0) throw taken(name)
        await deferOwn(ask, now())
        await refuseWrites(ask, mark, now())
      }),
    tables: () => tablesOn(ask),
    guard: (seen) =>
      transaction(async () => {
        await assertAt(seen)
        await deferOwn(ask, now())
        await refuse(ask)
      }),
    apply: (seen, work) =>
      transaction(async () => {
        await assertAt(seen)
        await ask('SET CONSTRAINTS ALL DEFERRED')
        await note(ask, APPLYING, '', now())
        const done = await work({
          target: targetOn(ask),
          note: async (mark) => void (await note(ask, STANDBY, JSON.stringify(mark), now())),
        })
        await forget(ask, APPLYING)
        return done
      }),
    release: (seen, { name, value }) =>
      transaction(async () => {
        await assertAt(seen)
        for (const each of await tablesTo(ask))
          await ask(`DROP TRIGGER IF EXISTS ${triggerOn(each.name)} ON ${quoted(each.name)}`)
        await deferNoMore(ask)
        await ask('DROP FUNCTION IF EXISTS meshstore_standby()')
        await forget(ask, STANDBY)
        await note(ask, name, value, now())
      }),
    close: async () => {
      client.release(true)
      await pool.end()
    },
  }
}
