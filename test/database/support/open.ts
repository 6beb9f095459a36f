import type { Session } from '../../../src/database/session.ts'
import type { SqliteDatabase } from '../../../src/database/sqlite/sqlite-database.ts'
import type { Statement } from '../../../src/database/statement.ts'
import type { Repositories } from '../../../src/index.ts'
import { configOf } from '../../../src/open/config.ts'
import { openSqlite } from '../../../src/open/sqlite.ts'
import { CachedPaths } from '../../../src/path-cache/cached-paths.ts'
import { PathCacheState } from '../../../src/path-cache/state.ts'
import { SqlNodeRepository } from '../../../src/repositories/node-repository.ts'
import { SqlPolicyRepository } from '../../../src/repositories/policy-repository.ts'

export interface OpenDatabase extends AsyncDisposable {
  readonly database: SqliteDatabase
  readonly session: Session
}

export async function openDatabase(): Promise<OpenDatabase> {
  const database = await openSqlite(':memory:', configOf('sqlite::memory:'))
  return { database, session: database, [Symbol.asyncDispose]: () => database.close() }
}

type AnyStatement = Statement<never, unknown>
export interface Ran {
  readonly statement: AnyStatement
  readonly parameters: never
}

/** Repositories on a session that tells which statements they run, with which parameters. */
export function recordingRepositories(session: Session, ran: Ran[]): Repositories {
  const recording = new Proxy(session, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (statement: AnyStatement | readonly Ran[], parameters: never, ...rest: unknown[]) => {
        if (Array.isArray(statement)) ran.push(...statement)
        else if (typeof statement === 'object' && 'build' in statement) ran.push({ statement, parameters })
        return member.call(target, statement, parameters, ...rest)
      }
    },
  })
  const now = (): Date => new Date('2026-01-02T03:04:05.678Z')
  return {
    nodes: new SqlNodeRepository(recording, now),
    policies: new SqlPolicyRepository(recording, { now, countRules: undefined }),
    pathCache: new CachedPaths(recording, { now, state: new PathCacheState({}), onPending: () => {} }),
  }
}
