/** `meshstore migrate plan` says what a statement locks: compared with the locks that the server then holds. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Migration, migrationsOf } from '../../src/migrator/migrations.ts'
import { locksOf, lockText, tableSizes } from '../../src/migrator/statement-locks.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

const migrationOf = (...statements: string[]): Migration => ({
  tag: '',
  file: '',
  when: 0,
  hash: '0'.repeat(64),
  statements,
})

describePostgres('the plan of a migration', () => {
  let database: TestDatabase
  let sizes: ReadonlyMap<string, number>
  beforeAll(async () => {
    database = await createDatabase()
    await database.query(`CREATE TABLE parents (id text PRIMARY KEY);
      CREATE TABLE items (id text PRIMARY KEY, cost integer, parent text);
      CREATE INDEX items_cost ON items (cost);
      CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER items_there AFTER INSERT ON items EXECUTE FUNCTION nothing()`)
    sizes = await tableSizes({ query: async (sql: string) => ({ rows: await database.query(sql) }) } as never)
  })
  afterAll(() => database[Symbol.asyncDispose]())

  test.each([
    'ALTER TABLE "items" ADD COLUMN "note" text;',
    'ALTER TABLE items ADD COLUMN nonce bigint DEFAULT floor(random() * 10) NOT NULL;',
    'ALTER TABLE "items" ALTER COLUMN "cost" SET DATA TYPE bigint;',
    'ALTER TABLE "items" ADD CONSTRAINT "least" CHECK ("items"."cost" > 0);',
    'ALTER TABLE "items" ADD CONSTRAINT "parent" FOREIGN KEY ("parent") REFERENCES "public"."parents"("id");',
    'ALTER TABLE "items" ADD CONSTRAINT "one" UNIQUE("cost");',
    'CREATE INDEX "items_parent" ON "items" USING btree ("parent");',
    'CREATE UNIQUE INDEX "items_parent" ON "public"."items" USING btree ("parent");',
    '-- A comment.\nCREATE TRIGGER more AFTER UPDATE ON items EXECUTE FUNCTION nothing();',
    'DROP TRIGGER items_there ON items;',
    'DROP TABLE "items";',
    'INSERT INTO items (id) VALUES (1);',
  ])('%s', async (statement) => {
    const client = await database.client()
    await client.query('BEGIN')
    await client.query(statement)
    const { rows } = await client.query<{ mode: string }>(
      `SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = $1::oid`,
      [(await database.query<{ oid: string }>("SELECT 'items'::regclass::oid"))[0]?.oid],
    )
    await client.query('ROLLBACK')
    const [lock] = locksOf(migrationOf(statement), sizes)
    const names = rows.map(({ mode }) => mode.replace(/Lock$/, ''))
    const strongest = ['AccessExclusive', 'ShareRowExclusive', 'Share', 'RowExclusive'].find((mode) =>
      names.includes(mode),
    )
    expect({ table: lock?.table, lock: lock?.lock.replaceAll(' ', '').toLowerCase() }).toEqual({
      table: 'items',
      lock: strongest?.toLowerCase(),
    })
  })

  test('names the tables that a statement cannot lock for long, and those that it locks for long', () => {
    const large = new Map([['items', 2_500_000_000]])
    const texts = (...statements: string[]): (string | undefined)[] =>
      locksOf(migrationOf(...statements), large).map((lock) => lock && lockText(lock))
    expect(
      texts(
        'CREATE TABLE "new" ("id" text);',
        'CREATE INDEX "new_id" ON "new" USING btree ("id");',
        'CREATE INDEX "items_parent" ON "items" USING btree ("parent");',
        'ALTER TABLE "items" ADD COLUMN "nonce" bigint DEFAULT floor(random() * 10) NOT NULL;',
        'ALTER TABLE "items" ADD COLUMN "note" text;',
        'ALTER TABLE "items" ADD CONSTRAINT "least" CHECK ("cost" > 0) NOT VALID;',
      ),
    ).toEqual([
      undefined,
      undefined,
      'locks items (SHARE UPDATE EXCLUSIVE): nothing waits, for about 100 s; built before the migration',
      'locks items (ACCESS EXCLUSIVE): reads and writes wait, for about 100 s',
      'locks items (ACCESS EXCLUSIVE): reads and writes wait, for less than 1 s',
      'locks items (ACCESS EXCLUSIVE): reads and writes wait, for less than 1 s',
    ])
  })

  test('has a lock for each statement of the migrations', () => {
    for (const migration of migrationsOf('postgresql')) {
      const locks = locksOf(
        migration,
        new Map([
          ['nodes', 8_192],
          ['meshstore_changes', 8_192],
          ['meshstore_state', 8_192],
        ]),
      )
      expect(locks).toHaveLength(migration.statements.filter((statement) => statement.trim() !== '').length)
    }
  })
})
