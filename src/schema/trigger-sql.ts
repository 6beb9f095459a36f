/**
 * Generates the triggers that log a table's changes and invalidate cached paths from the table's description. `npm run db:generate`
 * writes the triggers of the library's tables into the migration that adds the table, where they are frozen: a test compares them
 * with the released ones. The triggers of an application's own tables are made when its database is opened.
 */
import { dollarQuoted, quotedName } from './described.ts'
import type { Column, Invalidates, Table } from './tables.ts'
import { INVALIDATING, isNode, LOG_EVENTS, markEvents } from './triggers.ts'

const IS_LOGGED = "EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log')"
const IS_AUTOMATIC =
  "NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')"
const NOW = "CAST(strftime('%s', 'now') AS REAL)"

/** The library's names need no quotes. */
const asIs = (name: string): string => name
type Quote = (name: string) => string

/** Statements, without a semicolon at their ends. */
export function sqliteTriggersOf(table: Table, quote: Quote = asIs): string[] {
  const { name, invalidates } = table
  const key = quote(table.key.name)
  const log = 'INSERT INTO meshstore_changes (table_name, key, operation)'
  const trigger = (title: string, event: string, when: string, ...body: string[]): string =>
    `CREATE TRIGGER ${quote(`${name}_${title}`)} ${event} ON ${quote(name)}\nWHEN ${when}\nBEGIN\n${body.map((each) => `\t${each};\n`).join('')}END`
  const names = invalidates?.columns.map((column) => quote(column.name)) ?? []
  const differsBeside = (other?: string): string =>
    names.flatMap((each) => (each === other ? [] : `OLD.${each} IS NOT NEW.${each}`)).join(' OR ')
  const differs = differsBeside()
  /** The operation, and whether the change invalidates. */
  const operation = (what: 'update' | 'delete', when = IS_AUTOMATIC): string =>
    isNode(table) ? `\n\t\tCASE WHEN ${when} THEN '${what}${INVALIDATING}' ELSE '${what}' END` : ` '${what}'`
  const triggers = [
    trigger('log_insert', 'AFTER INSERT', IS_LOGGED, `${log} VALUES ('${name}', NEW.${key}, 'insert')`),
    // INSERT … SELECT into a table with a trigger makes a temporary table each time: half of what a small update costs.
    trigger(
      'log_update',
      'AFTER UPDATE',
      `${IS_LOGGED} AND OLD.${key} IS NEW.${key}`,
      `${log} VALUES ('${name}', NEW.${key},${operation('update', `(${differsBeside(key)})\n\t\tAND ${IS_AUTOMATIC}`)})`,
    ),
    trigger(
      'log_rename',
      `AFTER UPDATE OF ${key}`,
      `OLD.${key} IS NOT NEW.${key} AND ${IS_LOGGED}`,
      `${log} VALUES ('${name}', OLD.${key}, 'delete')`,
      `${log} VALUES ('${name}', NEW.${key}, 'insert')`,
    ),
    trigger('log_delete', 'AFTER DELETE', IS_LOGGED, `${log} VALUES ('${name}', OLD.${key},${operation('delete')})`),
  ]
  if (invalidates === undefined) return triggers
  const update = `AFTER UPDATE OF ${names.join(', ')}`
  const mark = 'INSERT INTO path_cache_marks'
  if (invalidates.paths === 'all') {
    const all = `${mark} (marked_at) VALUES (${NOW})`
    return [
      ...triggers,
      trigger('mark_insert', 'AFTER INSERT', IS_AUTOMATIC, all),
      trigger('mark_update', update, `(${differs})\n\tAND ${IS_AUTOMATIC}`, all),
      trigger('mark_delete', 'AFTER DELETE', IS_AUTOMATIC, all),
    ]
  }
  if (invalidates.through !== undefined) {
    const through = invalidates.through.map((column) => quote(column.name))
    const marks = (...rows: readonly string[]): string => {
      const nodes = rows.flatMap((row) => through.map((column) => `SELECT ${row}.${column}`)).join(' UNION ')
      return `${mark} (through, marked_at)\n\t\tSELECT node, ${NOW} FROM (SELECT NULL AS node UNION ${nodes}) WHERE node IS NOT NULL`
    }
    const before = `FROM ${quote(name)} AS old WHERE old.${key} = NEW.${key}`
    const replaced = names.map((each) => `old.${each} IS NOT NEW.${each}`).join(' OR ')
    const ends = through.map((column) => `SELECT old.${column} AS node ${before} AND (${replaced})`).join(' UNION ')
    return [
      ...triggers,
      // INSERT OR REPLACE deletes the row of before without saying so.
      trigger(
        'mark_replace',
        'BEFORE INSERT',
        IS_AUTOMATIC,
        `${mark} (through, marked_at)\n\t\tSELECT node, ${NOW} FROM (${ends}) WHERE node IS NOT NULL`,
      ),
      trigger('mark_insert', 'AFTER INSERT', IS_AUTOMATIC, marks('NEW')),
      trigger('mark_update', update, `(${differs})\n\tAND ${IS_AUTOMATIC}`, marks('OLD', 'NEW')),
      trigger('mark_delete', 'AFTER DELETE', IS_AUTOMATIC, marks('OLD')),
    ]
  }
  const others = names.filter((each) => each !== key).map((each) => `${each} IS NOT NEW.${each}`)
  const logged = `${mark} (through, marked_at, logged)`
  const newest = 'SELECT 1 FROM path_cache_marks\n\tWHERE id = (SELECT max(id) FROM path_cache_marks)'
  return [
    ...triggers,
    trigger(
      'mark_update',
      update,
      `(${differs})\n\tAND ${IS_AUTOMATIC}`,
      `${logged} VALUES (OLD.${key}, ${NOW}, OLD.${key} IS NEW.${key})`,
    ),
    trigger(
      'mark_rename',
      `AFTER UPDATE OF ${key}`,
      `OLD.${key} IS NOT NEW.${key} AND ${IS_AUTOMATIC}`,
      `${mark} (through, marked_at) VALUES (NEW.${key}, ${NOW})`,
    ),
    trigger('mark_delete', 'AFTER DELETE', IS_AUTOMATIC, `${logged} VALUES (OLD.${key}, ${NOW}, 1)`),
    // INSERT OR REPLACE deletes the row of before without saying so. Only afterwards it is known whether a row was replaced or
    // updated by an upsert: until then the mark invalidates nothing that is stored.
    trigger(
      'mark_replace',
      'BEFORE INSERT',
      `EXISTS (SELECT 1 FROM ${name} WHERE ${key} = NEW.${key}\n\tAND (${others.join(' OR ')}))\n\tAND ${IS_AUTOMATIC}`,
      `${mark} (through, marked_at, swept) VALUES (NEW.${key}, ${NOW}, 1)`,
    ),
    trigger(
      'mark_insert',
      'AFTER INSERT',
      `EXISTS (${newest} AND through = NEW.${key} AND swept = 1)`,
      `${mark} (through, marked_at) VALUES (NEW.${key}, ${NOW})`,
    ),
  ]
}

/**
 * One statement. The triggers work by statement, so that a thousand rows cost one call. The functions name their schema: who writes
 * may have another one in its search path.
 */
export function postgresTriggersOf(table: Table, quote: Quote = asIs): string {
  const { name, invalidates } = table
  const made = [logFunction(table, quote), ...LOG_EVENTS.map(triggerBy(name, quote, 'log'))]
  if (invalidates !== undefined)
    made.push(markFunction(table, invalidates, quote), ...markEvents(invalidates).map(triggerBy(name, quote, 'mark')))
  const statements = made.map(
    (sql) => `\tEXECUTE format(${dollarQuoted('create', `\n\t\t${sql}\n\t`)}, current_schema());\n`,
  )
  return `DO ${dollarQuoted('do', `\nBEGIN\n${statements.join('')}END\n`)}`
}

const ROWS = {
  insert: ' REFERENCING NEW TABLE AS written',
  update: ' REFERENCING OLD TABLE AS replaced NEW TABLE AS written',
  delete: ' REFERENCING OLD TABLE AS replaced',
  truncate: '',
}

const triggerBy =
  (name: string, quote: Quote, what: 'log' | 'mark') =>
  (event: keyof typeof ROWS): string =>
    `CREATE TRIGGER ${quote(`${name}_${what}_${event}`)} AFTER ${event.toUpperCase()} ON %1$I.${quote(name)}
		${ROWS[event]} FOR EACH STATEMENT EXECUTE FUNCTION %1$I.${quote(`meshstore_${what}_${name}`)}()`

const functionOf = (name: string, body: string): string =>
  `CREATE FUNCTION %1$I.${name}() RETURNS trigger LANGUAGE plpgsql AS ${dollarQuoted('body', body)}`

const IS_AUTOMATIC_ON_POSTGRES =
  "NOT EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual')"

function logFunction(table: Table, quote: Quote): string {
  const { name, key: column, invalidates } = table
  const key = quote(column.name)
  const indent = '\n\t\t\t\t\t\t'
  const invalidating = (when: string): string =>
    isNode(table) ? `${indent}|| CASE WHEN ${when} THEN '${INVALIDATING}' ELSE '' END` : ''
  const rowOf = (alias: string): string => rowIn(alias, invalidates?.columns ?? [], quote)
  const differs = `${rowOf('r')} IS DISTINCT FROM ${rowOf('w')} AND ${IS_AUTOMATIC_ON_POSTGRES}`
  const log = 'INSERT INTO %1$I.meshstore_changes (table_name, key, operation)'
  return functionOf(
    quote(`meshstore_log_${name}`),
    `
		BEGIN
			IF NOT EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'change_log') THEN
				RETURN NULL;
			END IF;
			IF TG_OP = 'INSERT' THEN
				${log}
					SELECT '${name}', ${key}, 'insert' FROM written ORDER BY 2;
			ELSIF TG_OP = 'UPDATE' THEN
				${log}
					SELECT '${name}', coalesce(w.${key}, r.${key}), CASE
						WHEN w.${key} IS NULL THEN 'delete' WHEN r.${key} IS NULL THEN 'insert' ELSE 'update' END${invalidating(differs)}
					FROM replaced AS r FULL JOIN written AS w ON w.${key} = r.${key}
					ORDER BY w.${key} IS NOT NULL, 2;
			ELSIF TG_OP = 'DELETE' THEN
				${log}
					SELECT '${name}', ${key}, 'delete'${invalidating(IS_AUTOMATIC_ON_POSTGRES)} FROM replaced ORDER BY 2;
			ELSE
				INSERT INTO %1$I.meshstore_changes (table_name, operation) VALUES ('${name}', 'truncate');
			END IF;
			RETURN NULL;
		END
		`,
  )
}

const rowIn = (alias: string, columns: readonly Column[], quote: Quote): string =>
  `(${columns.map(({ name }) => `${alias}.${quote(name)}`).join(', ')})`

/** A change of many rows marks each node once, or all paths once. */
function markFunction(table: Table, invalidates: Invalidates, quote: Quote): string {
  const [whenInserted, whenUpdated, whenDeleted] = marksBy(table, invalidates, quote)
  const inserted = whenInserted && `IF TG_OP = 'INSERT' THEN\n\t\t\t\t${whenInserted};\n\t\t\tELS`
  return functionOf(
    quote(`meshstore_mark_${table.name}`),
    `
		BEGIN
			IF EXISTS (SELECT 1 FROM %1$I.meshstore_state WHERE name = 'path_cache_invalidation' AND value = 'manual') THEN
				RETURN NULL;
			END IF;
			${inserted}IF TG_OP = 'UPDATE' THEN
				${whenUpdated};
			ELSIF TG_OP = 'DELETE' THEN
				${whenDeleted};
			ELSE
				INSERT INTO %1$I.path_cache_marks (marked_at) VALUES (extract(epoch FROM clock_timestamp()));
			END IF;
			RETURN NULL;
		END
		`,
  )
}

/** The statements for INSERT, UPDATE and DELETE. */
function marksBy({ key: column }: Table, { paths, columns, through }: Invalidates, quote: Quote): string[] {
  const indent = '\n\t\t\t\t\t'
  const key = quote(column.name)
  const now = 'extract(epoch FROM clock_timestamp())'
  const rowOf = (alias: string): string => rowIn(alias, columns, quote)
  // FULL JOIN: batches forbid the fast plans of other joins.
  const changed = `FROM replaced AS r FULL JOIN written AS w ON w.${key} = r.${key}${indent}WHERE ${rowOf('r')} IS DISTINCT FROM ${rowOf('w')}`
  if (paths === 'all') {
    const all = (from: string): string =>
      `INSERT INTO %1$I.path_cache_marks (marked_at)${indent}SELECT ${now} WHERE EXISTS (SELECT 1 ${from})`
    return [all('FROM written'), all(changed), all('FROM replaced')]
  }
  const nodes = (node: string, from: string, isLogged = false): string =>
    `INSERT INTO %1$I.path_cache_marks (through, marked_at${isLogged ? ', logged' : ''})${indent}SELECT ${node}, ${now}${isLogged ? ', true' : ''}${indent}${from}${indent}ORDER BY 1`
  if (through === undefined)
    return ['', nodes(`coalesce(w.${key}, r.${key})`, changed, true), nodes(key, 'FROM replaced', true)]
  const list = [...new Set([...columns, ...through].map(({ name }) => quote(name)))].join(', ')
  const ends = (rows: string): string =>
    through.map(({ name }) => `SELECT ${quote(name)} AS node FROM ${rows} AS r`).join(' UNION ')
  const at = (rows: string): string => nodes('node', `FROM (${rows}) AS n WHERE node IS NOT NULL`)
  const before = `(SELECT ${list} FROM replaced EXCEPT SELECT ${list} FROM written)`
  const after = `(SELECT ${list} FROM written EXCEPT SELECT ${list} FROM replaced)`
  return [at(ends('written')), at(`${ends(before)} UNION ${ends(after)}`), at(ends('replaced'))]
}

/** Statements that drop and create the triggers of an own table. */
export const ownTriggersOnSqlite = (table: Table): string[] => sqliteTriggersOf(table, quotedName)
export const ownTriggersOnPostgres = (table: Table): string[] => [
  ...dropTriggersOnPostgres(table),
  postgresTriggersOf(table, quotedName),
]
export const dropTriggersOnPostgres = ({ name }: Table): string[] =>
  ['log', 'mark'].map((what) => `DROP FUNCTION IF EXISTS ${quotedName(`meshstore_${what}_${name}`)}() CASCADE`)
