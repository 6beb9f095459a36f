/**
 * Hooks into a process's databases: each statement before and after it is run, and each change of files. Import it
 * before anything else.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import Sqlite from 'better-sqlite3'
import pg from 'pg'

/** They may block: nothing else goes on in this process meanwhile. */
export const hooks: {
  before: (what: string, connection?: object) => void
  after: (what: string, connection?: object, failed?: boolean) => void
} = { before: () => {}, after: () => {} }

type Method = (this: unknown, ...args: never[]) => unknown

function wrap(owner: object, name: string, wrapper: (original: Method) => Method): void {
  // Seen as a table of functions, which is what is changed of it.
  const functions = owner as Record<string, Method>
  const original = functions[name]
  if (typeof original !== 'function') throw new Error(`There is no ${name} to hook.`)
  functions[name] = wrapper(original)
}

function around<T>(what: string, connection: object | undefined, run: () => T): T {
  hooks.before(what, connection)
  let failed = true
  try {
    const result = run()
    failed = false
    return result
  } finally {
    hooks.after(what, connection, failed)
  }
}

wrap(
  Sqlite.prototype,
  'exec',
  (exec) =>
    function (this: unknown, ...args) {
      return around(String(args[0]), this as object, () => exec.apply(this, args))
    },
)

const statements = Object.getPrototypeOf(new Sqlite(':memory:').prepare('SELECT 1'))
for (const name of ['run', 'get', 'all', 'iterate']) {
  wrap(
    statements,
    name,
    (method) =>
      function (this: unknown, ...args) {
        const { source, database } = this as Sqlite.Statement
        return around(source, database, () => method.apply(this, args))
      },
  )
}

wrap(
  Sqlite.prototype,
  'backup',
  (backup) =>
    function (this: unknown, ...args) {
      const [target, options] = args as unknown as [string, Sqlite.BackupOptions]
      const progress: Sqlite.BackupOptions['progress'] = (info) => {
        hooks.after('a step of the copy')
        return options.progress(info)
      }
      return backup.apply(this, [target, { ...options, progress }] as never[])
    },
)

for (const name of ['openSync', 'writeSync', 'fsyncSync', 'linkSync', 'rmSync'])
  wrap(
    fs,
    name,
    (method) =>
      (...args) =>
        around(name, undefined, () => method.apply(fs, args)),
  )
syncBuiltinESMExports()

wrap(
  pg.Client.prototype,
  'query',
  (query) =>
    function (this: unknown, ...args) {
      const [text] = args as unknown[]
      // The pool's own statements are called with a callback, and never in a transaction.
      if (typeof text !== 'string' || typeof args.at(-1) === 'function') return query.apply(this, args)
      hooks.before(text, this as object)
      return (query.apply(this, args) as Promise<unknown>).then((result) => {
        hooks.after(text, this as object, false)
        return result
      })
    },
)
