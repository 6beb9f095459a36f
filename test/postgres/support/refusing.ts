import type { TestDatabase } from './database.ts'

/** From now on the server refuses rows whose id begins with `bad-`, with the SQLSTATE that follows: `bad-23514`. */
export async function refuseBadRows(database: TestDatabase): Promise<void> {
  await database.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'refused' USING ERRCODE = substr(NEW.node_id, 5, 5), DETAIL = NEW::text;
    END $$`)
  await database.query(`
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON nodes
    FOR EACH ROW WHEN (NEW.node_id LIKE 'bad-%') EXECUTE FUNCTION refuse()`)
}
