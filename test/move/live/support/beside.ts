/** A mover beside the stores that serve from the file: what `meshstore move` does, in this process. */

import type { SqliteDatabase } from '../../../../src/database/sqlite/sqlite-database.ts'
import type { MoveOptions, MoveReport } from '../../../../src/index.ts'
import { abortMove, moveLive } from '../../../../src/move/live/index.ts'
import { configOf, successorOf } from '../../../../src/open/config.ts'
import { openSqlite } from '../../../../src/open/sqlite.ts'

const BUSY_TIMEOUT_MS = 5_000

async function using<T>(path: string, work: (file: SqliteDatabase) => Promise<T>): Promise<T> {
  const file = await openSqlite(path, configOf({ url: path, busyTimeoutMs: BUSY_TIMEOUT_MS }))
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

export const moveBeside = (path: string, url: string, options: MoveOptions = {}): Promise<MoveReport> =>
  using(path, (file) => moveLive({ file, url, to: successorOf(url), busyTimeoutMs: BUSY_TIMEOUT_MS, options }))

/** Without a URL, the target is left as it is. */
export const abortBeside = (path: string, url?: string): Promise<unknown> =>
  using(path, (file) => abortMove(file, url === undefined ? undefined : successorOf(url), BUSY_TIMEOUT_MS))
