/** The driver makes a PostgreSQL array of it; Drizzle on its own would make a list of parameters. */
export const textArray = { mapToDriverValue: (list: unknown): unknown => list }
