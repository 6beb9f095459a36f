/**
 * Refusals by each means that a database has: singly, among 49 others, in createMany and in a transaction. The refused
 * call alone rejects. Its error names the table, the key and what refused, and is `retryable` only where trying again can help.
 */
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { type Meshstore, openStorage, StorageError, type StorageErrorCode } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { manyNodes, node } from '../support/samples.ts'
import { type AppRole, createAppRole, runGrants } from './support/app-role.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { refuseBadRows } from './support/refusing.ts'
import { describePostgres } from './support/suite.ts'

const REFUSING = `
  CREATE TABLE allowed (name text PRIMARY KEY);
  CREATE DOMAIN short_name AS text CONSTRAINT short CHECK (length(VALUE) < 5);
  ALTER TABLE nodes
    ADD CONSTRAINT no_checked CHECK (node_id <> 'checked'),
    ADD COLUMN now_of text REFERENCES allowed,
    ADD COLUMN later_of text REFERENCES allowed DEFERRABLE INITIALLY DEFERRED,
    ADD COLUMN only_of text CONSTRAINT only_once UNIQUE,
    ADD COLUMN span_of int4range,
    ADD CONSTRAINT no_overlap EXCLUDE USING gist (span_of WITH &&),
    ADD COLUMN here_of text NOT NULL DEFAULT 'here',
    ADD COLUMN name_of short_name;
  CREATE FUNCTION filling() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF NEW.node_id = 'foreign-key' THEN NEW.now_of = 'nobody'; END IF;
    IF NEW.node_id = 'late' THEN NEW.later_of = 'nobody'; END IF;
    IF NEW.node_id IN ('first', 'unique') THEN NEW.only_of = 'same'; END IF;
    IF NEW.node_id IN ('first', 'excluded') THEN NEW.span_of = '[1,5]'; END IF;
    IF NEW.node_id = 'absent' THEN NEW.here_of = NULL; END IF;
    IF NEW.node_id = 'domain' THEN NEW.name_of = 'too long'; END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER filling BEFORE INSERT OR UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION filling();
  ALTER TABLE nodes ENABLE ROW LEVEL SECURITY;
  CREATE POLICY anything ON nodes USING (true);
  CREATE POLICY not_forbidden ON nodes AS RESTRICTIVE FOR ALL USING (true) WITH CHECK (node_id <> 'forbidden')`

interface Refused {
  readonly id: string
  readonly code: StorageErrorCode
  readonly by: string
  readonly retryable?: boolean
}

const raised = (sqlstate: string, code: StorageErrorCode, retryable = false): Refused => ({
  id: `bad-${sqlstate}`,
  code,
  by: 'trigger function refuse',
  retryable,
})

const REFUSED: readonly Refused[] = [
  { id: 'forbidden', code: 'CONFLICT', by: 'policy not_forbidden' },
  { id: 'checked', code: 'CORRUPT', by: 'constraint no_checked' },
  { id: 'foreign-key', code: 'CONFLICT', by: 'constraint nodes_now_of_fkey' },
  { id: 'late', code: 'CONFLICT', by: 'constraint nodes_later_of_fkey' },
  { id: 'unique', code: 'ALREADY_EXISTS', by: 'constraint only_once' },
  { id: 'excluded', code: 'CONFLICT', by: 'constraint no_overlap' },
  { id: 'absent', code: 'CORRUPT', by: 'column here_of' },
  { id: 'domain', code: 'CORRUPT', by: 'constraint short' },
  raised('U0001', 'CONFLICT'),
  raised('P0001', 'CONFLICT'),
  raised('23514', 'CORRUPT'),
  raised('42501', 'CONFIG'),
  raised('22001', 'VALIDATION'),
  raised('53100', 'STORAGE_FULL'),
  raised('53300', 'UNAVAILABLE', true),
  raised('25006', 'READ_ONLY'),
  raised('57P01', 'UNAVAILABLE', true),
  raised('08006', 'UNAVAILABLE', true),
  raised('58030', 'UNAVAILABLE', true),
  raised('XX000', 'CORRUPT'),
  raised('40001', 'BUSY', true),
  raised('55P03', 'BUSY', true),
]

const OTHERS = 49

/** Each way to write 'first' and others beside the refused row: what rejected, by key. */
const WAYS: Readonly<Record<string, (store: Meshstore, id: string) => Promise<Map<string, unknown>>>> = {
  singly: async (store, id) => rejectedOf({ [id]: store.nodes.save(node(id)) }),
  'by create': async (store, id) => rejectedOf({ [id]: store.nodes.create(node(id)) }),
  'among others': async (store, id) => {
    const ids = manyNodes(OTHERS, `beside-${id}`).map(({ nodeId }) => nodeId)
    return rejectedOf(
      Object.fromEntries(ids.toSpliced(20, 0, id).map((each) => [each, store.nodes.save(node(each))] as const)),
    )
  },
  'in createMany': async (store, id) => {
    return rejectedOf({ [id]: store.nodes.createMany([...manyNodes(OTHERS, `many-${id}`), node(id)]) })
  },
  'in saveMany': async (store, id) => {
    return rejectedOf({ [id]: store.nodes.saveMany([...manyNodes(OTHERS, `many-${id}`), node(id)]) })
  },
  'in a transaction': async (store, id) =>
    rejectedOf({
      [id]: store.transaction(
        async (tx) => {
          await tx.nodes.create(node(`inside-${id}`))
          await tx.nodes.save(node(id))
        },
        { attempts: 2 },
      ),
    }),
}

async function rejectedOf(calls: Readonly<Record<string, Promise<unknown>>>): Promise<Map<string, unknown>> {
  const settled = await Promise.allSettled(Object.values(calls))
  return new Map(
    Object.keys(calls).flatMap((key, at) => {
      const each = settled[at]
      return each?.status === 'rejected' ? [[key, each.reason] as const] : []
    }),
  )
}

describePostgres('a refusal', () => {
  let database: TestDatabase
  let role: AppRole
  let store: Meshstore
  beforeAll(async () => {
    database = await createDatabase()
    await (await openStorage(database.url)).close()
    await runGrants(database.url)
    await database.query(REFUSING)
    await database.query('GRANT SELECT ON allowed TO PUBLIC')
    await refuseBadRows(database)
    role = await createAppRole(inject('postgresUrl'))
    store = await openStorage({ url: role.urlOf(database.url), busyTimeoutMs: 200 })
    await store.nodes.save(node('first'))
  })
  afterAll(async () => {
    await store?.close()
    await database[Symbol.asyncDispose]()
    await role[Symbol.asyncDispose]()
  })

  test.for(Object.keys(WAYS))('%s', async (way) => {
    const wrong: string[] = []
    for (const { id, code, by, retryable = false } of REFUSED) {
      const rejected = await (WAYS[way] as (typeof WAYS)[string])(store, id)
      const error = rejected.get(id)
      if (rejected.size !== 1) wrong.push(`${id}: ${rejected.size} calls rejected`)
      if (!(error instanceof StorageError)) {
        wrong.push(`${id}: ${error}`)
        continue
      }
      const { code: found, retryable: mayHelp, message } = error
      if (found !== code || mayHelp !== retryable) wrong.push(`${id}: ${found}, retryable ${mayHelp}`)
      if (!message.includes(by)) wrong.push(`${id}: not by ${by}: ${message}`)
      // Which row a deferred constraint refuses at COMMIT, and which row a conflict concerns, the server does not say.
      const isAtCommit = id === 'late' && way.startsWith('in ')
      const named = isAtCommit ? 'of nodes' : code === 'BUSY' && way.startsWith('in ') ? '' : `nodes "${id}"`
      if (!message.includes(named)) wrong.push(`${id}: no key: ${message}`)
      const there = await database.query('SELECT FROM nodes WHERE node_id = $1 OR node_id LIKE $2', [
        id,
        `inside-${id}`,
      ])
      if (there.length > 0) wrong.push(`${id}: it is there`)
    }
    expect(wrong).toEqual([])
  })
})

const HELD = ['held', 'also-1', 'also-2', 'also-3']
const LOCKED: Readonly<Record<string, readonly [says: string, write: (store: Meshstore) => Promise<unknown>]>> = {
  'a single call': ['nodes "held": ', (store) => store.nodes.update('held', { started: true })],
  'the next call of the row': [
    'nodes "held": ',
    (store) => Promise.all([store.nodes.update('held', {}).catch(() => {}), store.nodes.recordRoutes('held')]),
  ],
  'a call of many rows': [
    'nodes "held", "also-1", "also-2" and 1 more: ',
    (store) => store.nodes.saveMany(HELD.map((id) => node(id))),
  ],
  'a statement of a transaction': [
    'nodes "held": ',
    (store) => store.transaction((tx) => tx.nodes.recordRoutes('held'), { attempts: 1 }),
  ],
  'a write by filter': ['; table nodes)', (store) => store.nodes.deleteMany({ prefix: 'held' })],
}

describePostgres("BUSY, for another program's lock, says what was locked to", () => {
  let database: TestDatabase
  let store: Meshstore
  beforeAll(async () => {
    database = await createDatabase()
    store = await openStorage({ url: database.url, busyTimeoutMs: 100 })
    await store.nodes.createMany(HELD.map((id) => node(id)))
    const other = await database.client()
    await other.query('BEGIN')
    await other.query("SELECT FROM nodes WHERE node_id = 'held' FOR UPDATE")
    return async () => {
      await other.query('ROLLBACK')
      await store.close()
      await database[Symbol.asyncDispose]()
    }
  })

  test.for(Object.entries(LOCKED))('%s', async ([, [says, write]]) => {
    const error = await expectCode(write(store), 'BUSY')
    expect(error.retryable).toBe(true)
    expect(error.message).toContain(says)
  })
})
