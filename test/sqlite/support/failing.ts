import Sqlite from 'better-sqlite3'

export interface Fault {
  /** How often it shall still happen. */
  left: number
  /** How often it happened. */
  injected: number
}

/**
 * Makes a connection fail where only a disk could: as often as asked for, a control statement (`COMMIT`) fails as the
 * driver would, with a result code, having done nothing. Everything else is the real connection.
 */
export function failing(raw: Sqlite.Database, sql: string, code: string): Fault {
  const fault: Fault = { left: 0, injected: 0 }
  const guarded = <A extends unknown[], R>(run: (...args: A) => R): ((...args: A) => R) => {
    return (...args) => {
      if (fault.left === 0) return run(...args)
      fault.left--
      fault.injected++
      throw new Sqlite.SqliteError('disk I/O error', code)
    }
  }
  const prepare = raw.prepare.bind(raw)
  const exec = raw.exec.bind(raw)
  const failingExec = guarded(exec)
  raw.exec = (source) => (source === sql ? failingExec(source) : exec(source))
  raw.prepare = ((source: string) => {
    const statement = prepare(source)
    if (source === sql) statement.run = guarded(statement.run.bind(statement))
    return statement
  }) as typeof raw.prepare
  return fault
}
