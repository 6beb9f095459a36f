/** Names of a table's triggers, which log changes and invalidate cached paths. `trigger-sql.ts` makes the triggers. */
import type { Invalidates, Table } from './tables.ts'

export const LOG_EVENTS = ['insert', 'update', 'delete', 'truncate'] as const

/**
 * Ends the operation of a log entry whose change also invalidates the paths through its key: `update+`. One entry instead of two
 * makes topology changes cheaper. Such a mark is `logged`: the entry tells of it.
 */
export const INVALIDATING = '+'

/** Whether a row's topology change invalidates the paths through the row's own key. */
export const isNode = ({ invalidates }: Table): boolean =>
  invalidates?.paths === 'through' && invalidates.through === undefined

/** SQLite's triggers of the change log. */
export const logTriggers = ({ name }: Table): string[] =>
  ['insert', 'update', 'rename', 'delete'].map((event) => `${name}_log_${event}`)

/** An insert does not invalidate in the table of the nodes: no path leads through a new node. */
export const markEvents = ({ paths, through }: Invalidates) =>
  LOG_EVENTS.filter((event) => event !== 'insert' || paths === 'all' || through !== undefined)

/** PostgreSQL's triggers. */
export const postgresTriggerNames = ({ name, invalidates }: Table): string[] => [
  ...LOG_EVENTS.map((event) => `${name}_log_${event}`),
  ...(invalidates === undefined ? [] : markEvents(invalidates).map((event) => `${name}_mark_${event}`)),
]

/** SQLite's triggers. */
export const sqliteTriggerNames = (table: Table): string[] => [
  ...logTriggers(table),
  ...(table.invalidates === undefined
    ? []
    : [
        ...markEvents(table.invalidates)
          .filter((event) => event !== 'truncate')
          .map((event) => `${table.name}_mark_${event}`),
        ...(table.invalidates.paths === 'through' ? [`${table.name}_mark_replace`] : []),
      ]),
]
