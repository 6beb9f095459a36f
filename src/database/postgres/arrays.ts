import type { Column } from 'drizzle-orm'

/** The driver makes a PostgreSQL array of it; Drizzle on its own would make a list of parameters. */
export const textArray = { mapToDriverValue: (list: unknown): unknown => list }

/** A list of a column's values. */
export const arrayOf = (column: Column) => ({
  listOf: column,
  mapToDriverValue: (list: unknown): unknown =>
    (list as readonly unknown[]).map((value) => column.mapToDriverValue(value)),
})
