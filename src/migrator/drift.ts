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
  readonly additions: ReadonlyMap<string, string>
}

export interface Difference {
  readonly table: string
  /** What is there and should not be, what is not there and should be. */
  readonly kind: 'missing' | 'unexpected' | 'order'
  readonly what: string
}

export interface Drift {
  /** Of our own tables. */
  readonly differences: readonly Difference[]
  /** Tables, indexes and triggers of others: no error. */
  readonly others: readonly string[]
}

/** `expected` has our tables, made anew by the migrations that the ledger names, in the same engine. */
export function driftOf(expected: Catalog, found: Catalog): Drift {
  const differences: Difference[] = []
  const others: string[] = []
  for (const [table, parts] of expected.tables) {
    const there = found.tables.get(table)
    if (there === undefined) {
      differences.push({ table, kind: 'missing', what: 'the table' })
      continue
    }
    const differs = (kind: Difference['kind'], what: string): void => void differences.push({ table, kind, what })
    for (const part of parts.parts) if (!there.parts.has(part)) differs('missing', part)
    for (const part of there.parts) if (!parts.parts.has(part)) differs('unexpected', part)
    const sameColumns = parts.columns.toSorted().join() === there.columns.toSorted().join()
    if (sameColumns && parts.columns.join() !== there.columns.join()) differs('order', there.columns.join(', '))
    for (const [name, definition] of parts.additions) {
      if (there.additions.get(name) !== definition) differs('missing', definition)
    }
    for (const [name, definition] of there.additions) {
      const ours = parts.additions.get(name)
      if (ours === undefined)
        others.push(`${definition.startsWith('trigger') ? definition : `index ${name}`} on ${table}`)
      else if (ours !== definition) differs('unexpected', definition)
    }
  }
  for (const table of found.tables.keys()) if (!expected.tables.has(table)) others.push(`table ${table}`)
  return { differences, others }
}
