/** Tables, constraints and triggers, read from the migrations' text: every open needs them, and a scratch database is slow. */
export interface CreatedObjects {
  /** `PRIMARY KEY` and `CONSTRAINT` with the name of each CHECK, by table. */
  readonly tables: ReadonlyMap<string, ReadonlySet<string>>
  /** SQLite only: there a trigger is one statement. */
  readonly triggers: ReadonlyMap<string, Trigger>
}

interface Trigger {
  readonly table: string
  /** The text of the statement: SQLite stores it unchanged. */
  readonly sql: string
}

/** Matches drizzle-kit's statements and handwritten triggers. */
const STATEMENT = /^(?:\s*--.*\n)*\s*(CREATE|DROP|ALTER) (TABLE|TRIGGER) [`"]?(\w+)[`"]?/
const RENAMED = /^ RENAME TO [`"]?(\w+)/
const ALTERED = /^ (ADD|DROP) CONSTRAINT [`"]?(\w+)[`"]?( CHECK)?/
const CHECK = /CONSTRAINT [`"]?(\w+)[`"]? CHECK/g

type Migrations = readonly { readonly statements: readonly string[] }[]

const known = new WeakMap<Migrations, CreatedObjects>()

/** Remembers what the build has read: the first open of a process need not read the text. */
export function remember(migrations: Migrations, created: CreatedObjects): void {
  known.set(migrations, created)
}

export function objectsCreatedBy(migrations: Migrations): CreatedObjects {
  let created = known.get(migrations)
  if (created === undefined) {
    created = read(migrations)
    known.set(migrations, created)
  }
  return created
}

function read(migrations: Migrations): CreatedObjects {
  const tables = new Map<string, Set<string>>()
  const triggers = new Map<string, Trigger>()
  for (const statement of migrations.flatMap(({ statements }) => statements)) {
    const [begin, verb, kind, name = ''] = STATEMENT.exec(statement) ?? []
    if (begin === undefined) continue
    const rest = statement.slice(begin.length)
    if (kind === 'TRIGGER') {
      triggers.delete(name)
      if (verb === 'CREATE') triggers.set(name, triggerIn(statement))
    } else if (verb === 'ALTER') alter(tables, name, rest)
    else {
      tables.delete(name)
      if (verb === 'CREATE') tables.set(name, new Set(constraintsIn(rest)))
    }
  }
  return { tables, triggers }
}

function* constraintsIn(columns: string): Generator<string> {
  if (columns.includes('PRIMARY KEY')) yield 'PRIMARY KEY'
  for (const [, name] of columns.matchAll(CHECK)) yield `CONSTRAINT ${name}`
}

function alter(tables: Map<string, Set<string>>, name: string, rest: string): void {
  const constraints = tables.get(name) ?? new Set()
  const [, to] = RENAMED.exec(rest) ?? []
  if (to !== undefined) {
    tables.delete(name)
    tables.set(to, constraints)
  }
  const [, how, constraint, isCheck] = ALTERED.exec(rest) ?? []
  constraints.delete(`CONSTRAINT ${constraint}`)
  if (how === 'ADD' && isCheck !== undefined) constraints.add(`CONSTRAINT ${constraint}`)
}

function triggerIn(statement: string): Trigger {
  const sql = statement.slice(statement.indexOf('CREATE TRIGGER')).trim().replace(/;$/, '')
  const [, table = ''] = / ON (\w+)/.exec(sql) ?? []
  return { table, sql }
}
