/** Names of a table's triggers, which log changes and invalidate cached paths. scripts/triggers.ts makes the triggers. */
import type { Invalidates, Table } from './tables.ts'

export const LOG_EVENTS = ['insert', 'update', 'delete', 'truncate'] as const

/** SQLite's triggers of the change log. */
export const logTriggers = ({ name }: Table): string[] =>
  LOG_EVENTS.filter((event) => event !== 'truncate').map((event) => `${name}_log_${event}`)

/** An insert invalidates only in tables that invalidate all paths: no path leads through a new node. */
export const markEvents = ({ paths }: Invalidates) =>
  LOG_EVENTS.filter((event) => event !== 'insert' || paths === 'all')

/** PostgreSQL's triggers. */
export const postgresTriggerNames = ({ name, invalidates }: Table): string[] => [
  ...LOG_EVENTS.map((event) => `${name}_log_${event}`),
  ...(invalidates === undefined ? [] : markEvents(invalidates).map((event) => `${name}_mark_${event}`)),
]
