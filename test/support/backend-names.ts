/** Apart from the backends themselves: the reporter runs outside of the tests. */
export const BACKEND_NAMES = ['SQLite in a file', 'SQLite in memory', 'PostgreSQL'] as const
