/** Changes by programs that use what one dialect alone can do. */
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { describePostgres } from '../postgres/support/suite.ts'
import { postgres, sqliteFile } from '../support/backends.ts'
import { node, policy } from '../support/samples.ts'
import { committed, subscribed } from './support/reading.ts'

const REPLACE = `INSERT OR REPLACE INTO nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at)
  VALUES ('a', '["eth0"]', '[]', 1, 0, 1.5, 1.5)`

/** Needs the rights of the table's owner, which the tests' role lacks. */
async function ownerOnly(url: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query('TRUNCATE meshstore_changes')
  } finally {
    await client.end()
  }
}

describe('changes on SQLite', () => {
  test('INSERT OR REPLACE is an insert, UPDATE OR REPLACE one of the key that it takes', async () => {
    await using opened = await sqliteFile.open()
    await opened.store.nodes.createMany([node('a'), node('b')])
    const changes = await subscribed(opened.store)
    await opened.other.execute(REPLACE)
    expect(await committed(changes, opened.store)).toEqual(['insert nodes a', 'invalidate path_cache {"through":"a"}'])
    await opened.other.execute("UPDATE OR REPLACE nodes SET node_id = 'a' WHERE node_id = 'b'")
    const seen = await committed(changes, opened.store)
    expect(seen.filter((each) => !each.startsWith('invalidate'))).toEqual(['delete nodes b', 'insert nodes a'])
  })

  test('a DELETE of all rows, and a program that rolls back', async () => {
    await using opened = await sqliteFile.open({ pathCache: { invalidation: 'manual' } })
    await opened.store.policies.createMany([policy('p'), policy('q')])
    const changes = await subscribed(opened.store)
    await opened.other.execute('BEGIN; DELETE FROM policies; ROLLBACK')
    await opened.other.execute("BEGIN; SAVEPOINT s; DELETE FROM policies WHERE policy_id = 'p'; ROLLBACK TO s; COMMIT")
    await opened.other.execute('DELETE FROM policies')
    expect(await committed(changes, opened.store)).toEqual(['delete policies p', 'delete policies q'])
  })
})

describePostgres('changes on PostgreSQL', () => {
  test('TRUNCATE goes through all rows at a stroke', async () => {
    await using opened = await postgres.open({ pathCache: { invalidation: 'manual' } })
    const changes = await subscribed(opened.store)
    await opened.store.policies.createMany([policy('p'), policy('q')])
    await opened.other.execute('TRUNCATE policies')
    const seen = await committed(changes, opened.store)
    expect(seen.slice(0, 2).sort()).toEqual(['insert policies p', 'insert policies q'])
    expect(seen.slice(2)).toEqual(['truncate policies'])
  })

  test('a COPY, and a statement that writes several tables', async () => {
    await using opened = await postgres.open({ pathCache: { invalidation: 'manual' } })
    await opened.store.nodes.create(node('a'))
    const changes = await subscribed(opened.store)
    await opened.other.execute(`WITH gone AS (DELETE FROM nodes RETURNING *)
      INSERT INTO policies (policy_id, yaml_content, rules_count, created_at, updated_at)
      SELECT node_id, '', 0, created_at, updated_at FROM gone`)
    expect((await committed(changes, opened.store)).sort()).toEqual(['delete nodes a', 'insert policies a'])
  })

  test('an UPDATE that gives two rows each other’s keys says that both have changed', async () => {
    await using opened = await postgres.open({ pathCache: { invalidation: 'manual' } })
    await opened.store.nodes.createMany([node('a'), node('b')])
    // A key that may be doubled for the length of a statement.
    await opened.other.execute(
      'ALTER TABLE nodes DROP CONSTRAINT nodes_pkey, ADD CONSTRAINT nodes_pkey PRIMARY KEY (node_id) DEFERRABLE',
    )
    const changes = await subscribed(opened.store)
    await opened.other.execute("UPDATE nodes SET node_id = CASE node_id WHEN 'a' THEN 'b' ELSE 'a' END")
    await opened.other.execute(
      'ALTER TABLE nodes DROP CONSTRAINT nodes_pkey, ADD CONSTRAINT nodes_pkey PRIMARY KEY (node_id)',
    )
    expect(await committed(changes, opened.store)).toEqual(['update nodes a', 'update nodes b'])
  })

  test('a role that may do no more than read and write rows subscribes', async () => {
    await using opened = await postgres.open()
    await expect(ownerOnly(opened.url)).rejects.toThrow()
    const changes = await subscribed(opened.store)
    await opened.store.nodes.create(node('a'))
    expect(await committed(changes, opened.store)).toEqual(['insert nodes a'])
  })
})
