import type { Column } from 'drizzle-orm'

/** A list as one parameter, for json_each(). */
export const jsonArray = { mapToDriverValue: (list: unknown): string => JSON.stringify(list) }

/** A list of a column's values. */
export const jsonArrayOf = (column: Column) => ({
  listOf: column,
  mapToDriverValue: (list: unknown): string =>
    JSON.stringify((list as readonly unknown[]).map((value) => column.mapToDriverValue(value))),
})
