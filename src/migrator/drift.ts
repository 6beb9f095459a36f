/** Schema drift: how a database's tables differ from the tables that its migrations made. */

/** The parts of each table: columns, constraints and indexes, as the engine describes them. */
export interface Catalog {
  readonly tables: ReadonlyMap<string, TableParts>
}

export interface TableParts {
  /** Names, in the table's order. */
  readonly columns: readonly string[]
  /** Definitions of columns, constraints and indexes. */
  readonly parts: ReadonlySet<string>
  /** Indexes and triggers by name: other programs may add their own. */
  readonly additions: ReadonlyMap<string, Addition>
}

export interface Addition {
  readonly kind: 'index' | 'trigger'
  /** The description that reports show. */
  readonly what: string
  /** Equal additions have equal texts. */
  readonly definition: string
  /** The statements that create the addition. */
  readonly sql: readonly string[]
}

export interface Difference {
  readonly table: string
  readonly part: 'table' | 'column' | 'constraint' | Addition['kind']
  /** `missing`: expected and absent. `unexpected`: present and not expected. `order`: the columns' order differs. */
  readonly kind: 'missing' | 'unexpected' | 'order'
  readonly what: string
}

/** An index or a trigger of ours that a repair recreates. */
export interface Lost extends Addition {
  readonly table: string
  readonly name: string
}

export interface Drift {
  /** Differences in our own tables. */
  readonly differences: readonly Difference[]
  readonly lost: readonly Lost[]
  /** Tables, indexes and triggers of other programs: no error. */
  readonly others: readonly string[]
}

/** `expected`: our tables as the migrations in the ledger make them in the same engine. */
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
  for (const table of found.tables.keys())
    if (!expected.tables.has(table)) others.push(`table ${table}${ownerOf(table)}`)
  return { differences, lost, others }
}

/** A program whose tables are known. */
const ownerOf = (table: string): string => (/^_litestream_/i.test(table) ? ', of Litestream' : '')

/** Compares columns and constraints. */
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
