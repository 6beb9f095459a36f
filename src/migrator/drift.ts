/** How a database's tables differ from those that its migrations made. */

/** The parts of each table: columns, constraints and indexes, as the engine describes them. */
export interface Catalog {
  readonly tables: ReadonlyMap<string, TableParts>
}

export interface TableParts {
  /** In the order of the table. */
  readonly columns: readonly string[]
  /** Definitions of columns, constraints and indexes. */
  readonly parts: ReadonlySet<string>
  /** What may be somebody else's: indexes and triggers, by name. */
  readonly additions: ReadonlyMap<string, Addition>
}

export interface Addition {
  readonly kind: 'index' | 'trigger'
  /** As a person is told of it. */
  readonly what: string
  /** Two that are the same are the same text. */
  readonly definition: string
  /** The statements that make it. */
  readonly sql: readonly string[]
}

export interface Difference {
  readonly table: string
  readonly part: 'table' | 'column' | 'constraint' | Addition['kind']
  /** What is there and should not be, what is not there and should be. */
  readonly kind: 'missing' | 'unexpected' | 'order'
  readonly what: string
}

/** An index or a trigger of ours that is to be made again. */
export interface Lost extends Addition {
  readonly table: string
  readonly name: string
}

export interface Drift {
  /** Of our own tables. */
  readonly differences: readonly Difference[]
  readonly lost: readonly Lost[]
  /** Tables, indexes and triggers of others: no error. */
  readonly others: readonly string[]
}

/** `expected` has our tables, made anew by the migrations that the ledger names, in the same engine. */
export function driftOf(expected: Catalog, found: Catalog): Drift {
  const differences: Difference[] = []
  const lost: Lost[] = []
  const others: string[] = []
  for (const [table, parts] of expected.tables) {
    const there = found.tables.get(table)
    if (there === undefined) {
      differences.push({ table, part: 'table', kind: 'missing', what: 'the table' })
      continue
    }
    differences.push(...differencesIn(table, parts, there))
    for (const [name, ours] of parts.additions) {
      const theirs = there.additions.get(name)
      if (theirs?.definition === ours.definition) continue
      const { kind: part, what } = ours
      lost.push({ table, name, ...ours })
      differences.push({ table, part, kind: 'missing', what })
      if (theirs === undefined) continue
      const other = theirs.what === what ? `another ${what}` : theirs.what
      differences.push({ table, part, kind: 'unexpected', what: other })
    }
    for (const [name, { kind }] of there.additions)
      if (!parts.additions.has(name)) others.push(`${kind} ${name} on ${table}`)
  }
  for (const table of found.tables.keys()) if (!expected.tables.has(table)) others.push(`table ${table}`)
  return { differences, lost, others }
}

/** Columns and constraints. */
function* differencesIn(table: string, expected: TableParts, found: TableParts): Generator<Difference> {
  const partOf = (what: string): Difference['part'] => (CONSTRAINT.test(what) ? 'constraint' : 'column')
  for (const what of expected.parts)
    if (!found.parts.has(what)) yield { table, part: partOf(what), kind: 'missing', what }
  for (const what of found.parts)
    if (!expected.parts.has(what)) yield { table, part: partOf(what), kind: 'unexpected', what }
  const order = found.columns.join(', ')
  if (sameColumns(expected, found) && order !== expected.columns.join(', '))
    yield { table, part: 'column', kind: 'order', what: order }
}

const CONSTRAINT = /^(CONSTRAINT|CHECK|PRIMARY KEY|UNIQUE|FOREIGN KEY)\b/i

const sameColumns = (a: TableParts, b: TableParts): boolean =>
  a.columns.toSorted().join() === b.columns.toSorted().join()

export const isAddition = ({ part }: Difference): boolean => part === 'index' || part === 'trigger'
