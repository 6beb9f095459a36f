/** Inserts that run as one statement: every call has the outcome that it has alone. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { NewMeshNode, Repositories } from '../../src/index.ts'
import { type OpenStore, sqliteFile, sqliteMemory } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { assertProperty } from '../support/properties.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { recordStatements } from '../support/tracing.ts'
import { outcomes } from './support/settled.ts'

/** A row of each of these is refused, or not written, by another program's trigger. */
const REFUSALS = ['IGNORE', 'FAIL', 'ABORT', 'ROLLBACK'] as const

const TRIGGERS = REFUSALS.map((refusal) => {
  const raise = refusal === 'IGNORE' ? 'RAISE(IGNORE)' : `RAISE(${refusal}, 'no')`
  const when = refusal === 'IGNORE' ? 'BEFORE' : 'AFTER'
  return `CREATE TRIGGER theirs_${refusal} ${when} INSERT ON nodes WHEN NEW.node_id LIKE '${refusal}%'
    BEGIN SELECT ${raise}; END`
}).join(';')

const ids = (count: number, prefix = 'node'): string[] => Array.from({ length: count }, (_, n) => `${prefix}-${n}`)
/** Nodes, of which some may be there already, come twice, or be refused. */
const someNodes = fc
  .tuple(
    fc.integer({ min: 0, max: 130 }),
    fc.array(fc.tuple(fc.nat(130), fc.constantFrom('node-3', 'node-60', 'there', ...REFUSALS)), { maxLength: 3 }),
  )
  .map(([count, others]) => {
    const all = ids(count)
    for (const [at, id] of others) if (at < count) all[at] = id
    return all
  })

type Way = (on: Repositories, nodes: NewMeshNode[]) => Promise<unknown>[]
const WAYS: Readonly<Record<string, Way>> = {
  createMany: ({ nodes }, rows) => [nodes.createMany(rows)],
  saveMany: ({ nodes }, rows) => [nodes.saveMany(rows)],
  'create, all at once': ({ nodes }, rows) => rows.map((row) => nodes.create(row)),
  'save, all at once': ({ nodes }, rows) => rows.map((row) => nodes.save(row)),
}

/** One call after the other: no two writes share a commit. */
async function alone(store: Repositories, way: string, rows: NewMeshNode[]): Promise<string[]> {
  const { nodes } = store
  const codes: string[] = []
  const call = way.startsWith('create')
    ? (row: NewMeshNode) => nodes.create(row)
    : (row: NewMeshNode) => nodes.save(row)
  for (const row of rows) codes.push(...(await outcomes([call(row)])))
  return codes
}

/**
 * The outcome of a list of writes is the first refusal among its rows, each written alone. After a trigger's
 * RAISE(ROLLBACK) SQLite does not say whether an earlier row of the statement would have been refused, too.
 */
const allOrNone = (codes: readonly string[]): string => codes.find((code) => code !== 'done') ?? 'done'

async function keysOf({ other }: OpenStore): Promise<unknown[]> {
  return (await other.rows('nodes')).map(({ node_id: id }) => id)
}

describe.each([sqliteFile, sqliteMemory])('$name', (backend) => {
  async function opened(): Promise<OpenStore> {
    const open = await backend.open({ pathCache: { invalidation: 'manual' } })
    await open.store.nodes.create(node('there'))
    await open.other.execute(TRIGGERS)
    return open
  }

  test.each(Object.keys(WAYS))('%s: each row comes to what it comes to alone', async (way) => {
    await using together = await opened()
    await using one = await opened()
    const empty = ({ other }: OpenStore) => other.execute("DELETE FROM nodes WHERE node_id <> 'there'")
    await assertProperty(
      `${way}, ${backend.name}`,
      fc.asyncProperty(someNodes, async (keys) => {
        await empty(together)
        await empty(one)
        const rows = keys.map((key) => node(key))
        const codes = await outcomes((WAYS[way] as Way)(together.store, rows))
        const expected = await alone(one.store, way, rows)
        const isList = way.endsWith('Many')
        if (isList && keys.includes('ROLLBACK')) expect(expected).toContain(codes[0])
        else expect(codes).toEqual(isList ? [allOrNone(expected)] : expected)
        const isUndone = isList && codes[0] !== 'done'
        expect(await keysOf(together)).toEqual(isUndone ? ['there'] : await keysOf(one))
      }),
      { runs: bound('MANY_ROWS', { brief: 15, short: 100, long: 2_000 }) },
    )
  })

  test('rows of one kind take one statement in fifty', async () => {
    await using open = await opened()
    const { store } = open
    const rows = ids(200).map((key) => node(key))
    const paths = ids(100).map((id) => ({ key: pathKey(id, 'b'), bundle: bundle(id, 'b') }))
    const counts = async (work: () => Promise<unknown>): Promise<number> => {
      using statements = recordStatements()
      await work()
      return statements.events.length
    }
    expect(await counts(() => store.nodes.createMany(rows))).toBe(4)
    expect(await counts(() => store.nodes.saveMany(rows))).toBe(4)
    expect(await counts(() => Promise.all(rows.map((row) => store.nodes.save(row))))).toBe(4)
    expect(await counts(() => store.pathCache.setMany(paths))).toBe(2)
    expect(await counts(() => store.transaction((tx) => tx.nodes.saveMany(rows)))).toBe(4)
  })

  test('saved rows come back with what each of them has in the database', async () => {
    await using open = await opened()
    const { nodes } = open.store
    await nodes.createMany(ids(60).map((key, n) => node(key, { routesDiscovered: n })))
    const saved = await nodes.saveMany(ids(120).map((key) => node(key, { interfaces: [`of ${key}`] })))
    expect(saved).toEqual(await nodes.getMany(ids(120)))
    expect(saved.map(({ routesDiscovered }) => routesDiscovered)).toEqual([
      ...ids(60).map((_, n) => n),
      ...ids(60).map(() => 0),
    ])
  })
})
