/** The exported zod schemas: made from the tables, complete, and of one mind with the repositories. */
import { getTableColumns } from 'drizzle-orm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type PathBundle, StorageError } from '../../src/index.ts'
import * as tables from '../../src/schema/sqlite.ts'
import * as validators from '../../src/schema/validators.ts'
import { sqliteMemory } from '../support/backends.ts'
import { assertProperty } from '../support/properties.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'

const schemas = Object.entries(validators).flatMap(([name, exported]): [string, z.ZodType][] =>
  exported instanceof z.ZodType ? [[name, exported]] : [],
)

/** The paths of all that takes anything. */
function holes(schema: z.core.$ZodType, path: string): string[] {
  if (schema instanceof z.ZodAny || schema instanceof z.ZodUnknown) return [path]
  if (schema instanceof z.ZodObject) {
    return Object.entries(schema.shape).flatMap(([name, member]) => holes(member, `${path}.${name}`))
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return holes(schema.def.innerType, path)
  if (schema instanceof z.ZodArray) return holes(schema.element, `${path}[]`)
  // Whatever else it is, such as a schema with a check of its own: what no column holds, it must refuse.
  return z.safeParse(schema, Symbol('anything')).success ? [path] : []
}

describe('the exported schemas', () => {
  test('are these', () => {
    expect(schemas.map(([name]) => name).toSorted()).toEqual([
      'meshNodePatchSchema',
      'newMeshNodeSchema',
      'newPolicySchema',
      'pathBundleSchema',
      'pathKeySchema',
      'policyPatchSchema',
    ])
  })

  test.each(schemas)('%s takes nothing unseen', (name, schema) => {
    expect(holes(schema, name)).toEqual([])
  })

  test('a schema that takes anything would be found', () => {
    const open = z.object({ plain: z.string(), own: z.any(), other: z.array(z.unknown()), a: z.custom().optional() })
    expect(holes(open, 'row')).toEqual(['row.own', 'row.other[]', 'row.a'])
  })

  test.each([
    ['newMeshNodeSchema', validators.newMeshNodeSchema, tables.nodes],
    ['newPolicySchema', validators.newPolicySchema, tables.policies],
  ] as const)('%s knows every column of its table, and no other', (_, schema, table) => {
    expect(Object.keys(schema.shape)).toEqual(Object.keys(getTableColumns(table)))
  })

  test.each([
    ['newMeshNodeSchema', validators.newMeshNodeSchema, node('a')],
    ['meshNodePatchSchema', validators.meshNodePatchSchema, {}],
    ['newPolicySchema', validators.newPolicySchema, policy('a')],
    ['policyPatchSchema', validators.policyPatchSchema, {}],
    ['pathKeySchema', validators.pathKeySchema, pathKey('a', 'b')],
  ] as const)('%s takes what is sound, and refuses a name that it does not know', (_, schema, sound) => {
    expect(schema.safeParse(sound).success).toBe(true)
    expect(schema.safeParse({ ...sound, weight: 1 }).success).toBe(false)
  })
})

/** Most often what is sound, sometimes what is not, now and then anything. */
const mostly = (sound: readonly unknown[], unsound: readonly unknown[]): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(...sound) },
    { weight: 2, arbitrary: fc.constantFrom(...unsound) },
    { weight: 1, arbitrary: fc.anything() },
  )
const id = mostly(['a', 'b', 'x'.repeat(255), '\u{1f600}'.repeat(255)], ['', 'x'.repeat(256), 'a\0', '\ud800'])
const list = fc.oneof({ weight: 5, arbitrary: fc.constant(['eth0']) }, fc.array(id, { maxLength: 3 }))
const flag = mostly([true, false, undefined], [1, null, 'true'])
const integer = mostly([0, -1, 2_147_483_647, undefined], [2_147_483_648, 1.5, Number.NaN])
const time = mostly([new Date(0), undefined], [new Date(Number.NaN), 0])
/** Whether a text is YAML is beyond a schema: none here is made up. */
const yaml = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom<unknown>('a: 1', '') },
  { weight: 2, arbitrary: fc.constantFrom<unknown>('a\0', '\ud800', 'x'.repeat(1_048_577)) },
  { weight: 1, arbitrary: fc.anything().filter((value) => typeof value !== 'string') },
)
const paths = mostly([bundle('a', 'b').primary, []], [[{}], [{ nodes: ['a', 7] }]])

const changes = { interfaces: list, protocols: list, started: flag, routesDiscovered: integer }
const times = { createdAt: time, updatedAt: time }
const anyNode = fc.record({ nodeId: id, ...changes, ...times }, { noNullPrototype: true })
const anyPatch = fc.record({ ...changes, nodeId: id }, { requiredKeys: [] })
const anyPolicy = fc.record({ policyId: id, yamlContent: yaml, rulesCount: integer, ...times })
const anyKey = fc.record({ source: id, destination: id, k: mostly([1, 3, 1_000], [1_001, 0, 1.5, '3']) })
const anyBundle = fc.record({
  source: id,
  destination: id,
  primary: paths,
  extra: mostly([1, 'a', [null], {}], [1n, Number.NaN]),
})
/** Values that all of them refuse. */
const anything = fc.anything()

type Schema = z.ZodType
interface Pair {
  readonly name: string
  readonly schema: Schema
  readonly values: fc.Arbitrary<unknown>
  readonly store: (value: never) => Promise<unknown>
}

test('a schema and its repository come to the same verdict', async () => {
  await using opened = await sqliteMemory.open()
  const { nodes, policies, pathCache } = opened.store
  await nodes.create(node('there'))
  const pairs: readonly Pair[] = [
    { name: 'nodes', schema: validators.newMeshNodeSchema, values: anyNode, store: (value) => nodes.save(value) },
    {
      name: 'patches',
      schema: validators.meshNodePatchSchema,
      values: anyPatch,
      store: (value) => nodes.update('there', value),
    },
    { name: 'policies', schema: validators.newPolicySchema, values: anyPolicy, store: (value) => policies.save(value) },
    {
      name: 'keys',
      schema: validators.pathKeySchema,
      values: anyKey,
      store: (value: never) => pathCache.set(value, bundle('a', 'b')),
    },
    {
      name: 'bundles',
      schema: validators.pathBundleSchema,
      values: anyBundle,
      store: (value) => pathCache.set(pathKey('a', 'b'), value as PathBundle),
    },
  ]
  for (const { name, schema, values, store } of pairs) {
    const verdicts = { accepted: 0, refused: 0 }
    await assertProperty(
      `verdicts on ${name}`,
      fc.asyncProperty(fc.oneof({ weight: 20, arbitrary: values }, anything), async (value) => {
        const stored = await store(value as never).then(
          () => true,
          (error: unknown) => {
            if (error instanceof StorageError && error.code === 'VALIDATION') return false
            throw error
          },
        )
        expect(schema.safeParse(value).success).toBe(stored)
        verdicts[stored ? 'accepted' : 'refused']++
      }),
      { runs: 400 },
    )
    expect(Math.min(verdicts.accepted, verdicts.refused), `both verdicts occur on ${name}`).toBeGreaterThan(0)
  }
})
