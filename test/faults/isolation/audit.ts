/** Triggers that note each version of each row, in order; what is rolled back takes its notes with it. */
import Sqlite from 'better-sqlite3'
import type { TestDatabase } from '../../postgres/support/database.ts'
import type { Audited } from './rows.ts'

const EVENTS = ['INSERT', 'UPDATE', 'DELETE'] as const
const KEYS = { nodes: 'node_id', policies: 'policy_id', path_cache: 'cache_key', links: 'link_id' } as const
type Table = keyof typeof KEYS
const TABLES = ['nodes', 'policies', 'path_cache', 'links'] as const

const ON_SQLITE: Readonly<Record<Table, string>> = {
  nodes: "json_extract(NEW.protocols, '$[1]') || '/' || NEW.routes_discovered || '/' || NEW.started",
  policies: 'NEW.yaml_content',
  path_cache: "json_extract(NEW.bundle_json, '$.primary[0].path_id')",
  links: "json_extract(NEW.tags, '$[0]') || '/' || CAST(NEW.cost AS INTEGER) || '/' || NEW.is_up",
}
const ON_POSTGRES: Readonly<Record<Table, string>> = {
  nodes: "(NEW.protocols ->> 1) || '/' || NEW.routes_discovered || '/' || NEW.started::int",
  policies: 'NEW.yaml_content',
  path_cache: "NEW.bundle_json::jsonb #>> '{primary,0,path_id}'",
  links: "(NEW.tags ->> 0) || '/' || NEW.cost::int || '/' || NEW.is_up::int",
}

export function auditFile(path: string): () => Promise<Audited[]> {
  const raw = new Sqlite(path)
  raw.exec('CREATE TABLE audit (seq INTEGER PRIMARY KEY, "row" TEXT, version TEXT)')
  for (const table of TABLES) {
    for (const event of EVENTS) {
      const [which, version] = event === 'DELETE' ? ['OLD', 'NULL'] : ['NEW', ON_SQLITE[table]]
      raw.exec(`CREATE TRIGGER audit_${table}_${event} AFTER ${event} ON ${table} BEGIN
        INSERT INTO audit ("row", version) VALUES ('${table}:' || ${which}.${KEYS[table]}, ${version}); END`)
    }
  }
  raw.close()
  return async () => {
    const reader = new Sqlite(path, { readonly: true })
    const rows = reader.prepare(`SELECT "row", version, '' AS "group" FROM audit ORDER BY seq`).all()
    reader.close()
    return rows as Audited[]
  }
}

/** No index: nothing that a transaction could be said to have read. */
export async function auditServer(database: Pick<TestDatabase, 'query'>): Promise<() => Promise<Audited[]>> {
  await database.query('CREATE TABLE audit (seq bigserial, "row" text, version text, "group" text)')
  for (const table of TABLES) {
    const note = (which: string, version: string): string => `INSERT INTO audit ("row", version, "group")
      VALUES ('${table}:' || ${which}.${KEYS[table]}, ${version}, pg_current_xact_id()::text);`
    await database.query(`CREATE FUNCTION audit_${table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF TG_OP = 'DELETE' THEN ${note('OLD', 'NULL')} ELSE ${note('NEW', ON_POSTGRES[table])} END IF; RETURN NULL; END $$`)
    await database.query(`CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON ${table}
      FOR EACH ROW EXECUTE FUNCTION audit_${table}()`)
  }
  return () => database.query<Audited & object>('SELECT "row", version, "group" FROM audit ORDER BY seq')
}
