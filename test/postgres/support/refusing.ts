import type { TestDatabase } from './database.ts'

/**
 * From now on the server refuses rows whose id begins with `bad-`, with the SQLSTATE that follows: `bad-23514`; and those
 * that begin with `def-` when they are committed.
 */
export async function refuseBadRows(database: TestDatabase): Promise<void> {
  await database.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'refused' USING ERRCODE = substr(NEW.node_id, 5, 5), DETAIL = NEW::text;
    END $$`)
  await database.query(`
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON nodes
    FOR EACH ROW WHEN (NEW.node_id LIKE 'bad-%') EXECUTE FUNCTION refuse()`)
  await database.query(`
    CREATE CONSTRAINT TRIGGER refuse_late AFTER INSERT OR UPDATE ON nodes DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.node_id LIKE 'def-%') EXECUTE FUNCTION refuse()`)
}

/** The same on every table, with the row in everything that an error of PostgreSQL's can say. */
export async function refuseInDetail(database: TestDatabase): Promise<void> {
  await database.query(`
    CREATE FUNCTION refuse_in_detail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION USING ERRCODE = substr(to_jsonb(NEW)->>TG_ARGV[0], 5, 5), MESSAGE = NEW::text,
        DETAIL = NEW::text, HINT = NEW::text, COLUMN = NEW::text, CONSTRAINT = 'a_constraint',
        DATATYPE = NEW::text, TABLE = NEW::text, SCHEMA = NEW::text;
    END $$`)
  for (const [table, column] of [
    ['nodes', 'node_id'],
    ['policies', 'policy_id'],
    ['path_cache', 'source'],
  ]) {
    await database.query(`
      CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW
      WHEN (NEW.${column} LIKE 'bad-_____') EXECUTE FUNCTION refuse_in_detail('${column}')`)
  }
}
