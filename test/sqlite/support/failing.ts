import type Sqlite from 'better-sqlite3'
import { SqliteError } from 'better-sqlite3'

export interface Fault extends Disposable {
  /** How often it shall still happen. */
  left: number
  /** How often it happened. */
  injected: number
}

/**
 * Makes a connection fail where only a disk could: as often as asked for, a control statement (`COMMIT`) fails as the
 * driver would, with a result code, having done nothing. Everything else is the real connection. Statements that were prepared
 * before fail, too.
 */
export function failing(raw: Sqlite.Database, sql: string, code: string): Fault {
  const prototype: Sqlite.Statement = Object.getPrototypeOf(raw.prepare(sql))
  const { run } = prototype
  const fault = { left: 0, injected: 0, [Symbol.dispose]: () => void Object.assign(prototype, { run }) }
  prototype.run = function (this: Sqlite.Statement, ...args: unknown[]) {
    if (fault.left === 0 || this.database !== raw || this.source !== sql) return run.apply(this, args)
    fault.left--
    fault.injected++
    throw new SqliteError('disk I/O error', code)
  }
  return fault
}
