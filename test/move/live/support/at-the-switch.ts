/**
 * The content of the target at the cutover, though others write to it from then on. Triggers of the test's own note
 * every change with the row of before and the server process that made it. The changes of others than the mover are
 * undone, the latest first.
 */
import { createHash } from 'node:crypto'
import Sqlite from 'better-sqlite3'
import type { TestDatabase } from '../../../postgres/support/database.ts'
import { KEYS, type Table } from '../../../support/other-program.ts'

const TABLES = ['nodes', 'policies', 'path_cache'] as const

type Cells = Record<string, unknown>
interface Noted {
  readonly seq: string
  readonly pid: number
  readonly name: Table
  readonly before: Cells | null
  readonly after: Cells | null
}

export async function noteChanges(database: TestDatabase): Promise<void> {
  await database.query(`CREATE TABLE noted (seq bigserial PRIMARY KEY, pid int, name text, before jsonb, after jsonb)`)
  await database.query(`CREATE TABLE movers (pid int PRIMARY KEY)`)
  await database.query(`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO noted (pid, name, before, after) VALUES (pg_backend_pid(), TG_TABLE_NAME,
      CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN NULL; END $$`)
  // A connection that writes how far a move has come belongs to a mover.
  await database.query(`CREATE FUNCTION note_mover() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.value NOT LIKE '%"done"%' THEN INSERT INTO movers VALUES (pg_backend_pid()) ON CONFLICT DO NOTHING; END IF;
    RETURN NULL; END $$`)
  for (const table of TABLES)
    await database.query(
      `CREATE TRIGGER noting AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION note()`,
    )
  await database.query(`CREATE TRIGGER noting AFTER INSERT OR UPDATE ON meshstore_state FOR EACH ROW
    WHEN (NEW.name = 'move') EXECUTE FUNCTION note_mover()`)
}

/** Hashes of all rows: of the file, which has not changed since the fence, and of the target as it was then. */
export async function hashesAtTheSwitch(
  path: string,
  database: TestDatabase,
): Promise<Record<'file' | 'target', string>> {
  const raw = new Sqlite(path, { readonly: true })
  const file: Rows = new Map()
  for (const table of TABLES)
    for (const row of raw.prepare<[], Cells>(`SELECT * FROM ${table}`).all()) file.set(nameOf(table, row), plain(row))
  raw.close()
  return { file: hashOf(file), target: hashOf(await before(database)) }
}

type Rows = Map<string, unknown>
const nameOf = (table: Table, row: Cells): string => `${table} ${row[KEYS[table]]}`

async function before(database: TestDatabase): Promise<Rows> {
  const rows: Rows = new Map()
  for (const table of TABLES) {
    const found = await database.query<{ row: Cells }>(`SELECT to_jsonb(${table}) AS row FROM ${table}`)
    for (const { row } of found) rows.set(nameOf(table, row), plain(row))
  }
  const noted = await database.query<Noted>(
    'SELECT * FROM noted WHERE pid NOT IN (SELECT pid FROM movers) ORDER BY seq DESC',
  )
  for (const { name, before: old, after } of noted) {
    if (after !== null) rows.delete(nameOf(name, after))
    if (old !== null) rows.set(nameOf(name, old), plain(old))
  }
  return rows
}

/** Numbers to the bit, lists by their items, flags as numbers. */
const plain = (row: Cells): unknown =>
  Object.entries(row)
    .map(([column, value]) => {
      if (column === 'interfaces' || column === 'protocols')
        return [column, typeof value === 'string' ? JSON.parse(value) : value]
      return [column, typeof value === 'boolean' ? Number(value) : value]
    })
    .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1))

const hashOf = (rows: Rows): string =>
  createHash('sha256')
    .update(JSON.stringify([...rows].toSorted(([a], [b]) => (a < b ? -1 : 1))))
    .digest('hex')
