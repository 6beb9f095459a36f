/** The shape of a row of Drizzle's: `{ links: { … }, nodes: { … } | null }`. */
import { Column, getTableName, is, SQL, Subquery } from 'drizzle-orm'

interface Decoder {
  mapFromDriverValue(value: unknown): unknown
}

/** `decoder` is the part of SQL that mapWith() and count() set; Drizzle's own row mapping reads it the same way. */
export function decoderOf(field: unknown): Decoder | undefined {
  if (is(field, SQL)) return (field as SQL & { decoder: Decoder }).decoder
  if (is(field, SQL.Aliased)) return decoderOf(field.sql)
  if (is(field, Subquery)) return decoderOf(field._.sql)
  return undefined
}

interface Field {
  readonly path: readonly string[]
  readonly field: unknown
}

/** `joins`: by table, whether each row has one of its rows. An object of a table that has none becomes `null`. */
export function nest(
  fields: readonly Field[],
  values: readonly unknown[],
  joins: Readonly<Record<string, boolean>>,
): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  /** The objects that may be absent, and whether they have a value. */
  const optional = new Map<string, boolean>()
  for (const [at, { path, field }] of fields.entries()) {
    const value = values[at]
    let object = row
    for (const name of path.slice(0, -1)) {
      object[name] ??= {}
      object = object[name] as Record<string, unknown>
    }
    object[path.at(-1) ?? ''] = value
    const [name = ''] = path
    if (path.length !== 2) continue
    const isOfAbsent = is(field, Column) && joins[getTableName(field.table)] === false
    optional.set(name, (optional.get(name) ?? false) || value !== null || !isOfAbsent)
  }
  for (const [name, isThere] of optional) if (!isThere) row[name] = null
  return row
}
