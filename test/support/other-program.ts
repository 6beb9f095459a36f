/** The Python application, say, or a shell: a program that writes into the same tables by itself. */
import Sqlite from 'better-sqlite3'

export type Value = string | number | bigint | null | Buffer
export type Row = Readonly<Record<string, Value>>
export type Table = 'nodes' | 'policies' | 'path_cache'

export const KEYS = { nodes: 'node_id', policies: 'policy_id', path_cache: 'cache_key' } as const satisfies Record<
  Table,
  string
>

/** Includes the library's own tables. */
export const ALL_KEYS = { ...KEYS, meshstore_state: 'name', meshstore_consumers: 'name', meshstore_changes: 'seq' }

export interface OtherProgram {
  /** Adds a row, as it is. */
  insert(table: Table, row: Row): Promise<void>
  /** Changes a row past every check of the schema. */
  corrupt(table: Table, key: string, change: Row): Promise<void>
  /** The row as it is stored. */
  row(table: Table, key: string): Promise<Row | undefined>
  /** All rows as they are stored, in the order of their keys. */
  rows(table: keyof typeof ALL_KEYS): Promise<Row[]>
  /** From now on a trigger refuses every new row of the table, and says so in these words. */
  refuseRows(table: Table, words: string): Promise<void>
  /** From now on a trigger drops new rows of the table in silence, if their key begins with `dropped`. */
  dropRows(table: string, key: string): Promise<void>
  /** From now on a trigger drops updates of the table in silence. At last it gives up, so that a loop over it ends. */
  dropUpdates(table: Table): Promise<void>
  /** SQL of the dialect's own. */
  execute(sql: string): Promise<void>
}

/** A file that another program made, with its own tables. */
export function foreignFile(path: string, sql: string): string {
  const raw = new Sqlite(path)
  raw.exec(sql)
  raw.close()
  return path
}

/** Updates that a trigger drops before it gives up: more than any loop should try. */
export const PATIENCE = 200

/** Each call opens the file, does its work, and closes it. */
export const sqliteProgram = (path: string): OtherProgram =>
  programOn(async (work) => {
    const raw = new Sqlite(path, { fileMustExist: true })
    try {
      return work(raw)
    } finally {
      raw.close()
    }
  })

/** In memory nobody else can open the database: it writes through the connection that is there, between the store's calls. */
export const programInside = (raw: Sqlite.Database): OtherProgram => programOn(async (work) => work(raw))

function programOn(using: <T>(work: (raw: Sqlite.Database) => T) => Promise<T>): OtherProgram {
  return {
    insert: (table, row) =>
      using((raw) => {
        const columns = Object.keys(row)
        const insert = `INSERT INTO ${table} (${columns.join()}) VALUES (${columns.map(() => '?').join()})`
        raw.prepare(insert).run(Object.values(row))
      }),
    corrupt: (table, key, change) =>
      using((raw) => {
        raw.pragma('ignore_check_constraints = ON')
        const assignments = Object.keys(change).map((column) => `${column} = ?`)
        const { changes } = raw
          .prepare(`UPDATE ${table} SET ${assignments.join()} WHERE ${KEYS[table]} = ?`)
          .run([...Object.values(change), key])
        raw.pragma('ignore_check_constraints = OFF')
        if (changes !== 1) throw new Error(`There is no ${key} in ${table} to corrupt.`)
      }),
    row: (table, key) =>
      using((raw) => raw.prepare<[string], Row>(`SELECT * FROM ${table} WHERE ${KEYS[table]} = ?`).get(key)),
    rows: (table) => using((raw) => raw.prepare<[], Row>(`SELECT * FROM ${table} ORDER BY ${ALL_KEYS[table]}`).all()),
    refuseRows: (table, words) =>
      using((raw) => {
        raw.exec(`CREATE TRIGGER refusing BEFORE INSERT ON ${table} BEGIN SELECT RAISE(ABORT, '${words}'); END`)
      }),
    dropRows: (table, key) =>
      using((raw) => {
        raw.exec(`CREATE TRIGGER dropping_${table} BEFORE INSERT ON ${table} WHEN NEW.${key} LIKE 'dropped%' BEGIN
          SELECT RAISE(IGNORE);
        END`)
      }),
    dropUpdates: (table) =>
      using((raw) => {
        raw.exec(`CREATE TABLE dropped (times INTEGER);
          INSERT INTO dropped VALUES (0);
          CREATE TRIGGER dropping BEFORE UPDATE ON ${table} BEGIN
            UPDATE dropped SET times = times + 1;
            SELECT RAISE(IGNORE) FROM dropped WHERE times < ${PATIENCE};
          END`)
      }),
    execute: (sql) =>
      using((raw) => {
        raw.exec(sql)
      }),
  }
}
