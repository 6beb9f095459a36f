/**
 * The validation rules as zod schemas, for applications. Derived from the same descriptions of the tables.
 *
 * The repositories use the rules directly: loading zod would take 25 ms and 13 MB at the first write, and later writes could
 * overtake the first meanwhile. A property test proves that both give the same verdict.
 */
import { z } from 'zod'
import type { MeshNodePatch, NewMeshNode, NewPolicy, PolicyPatch } from './index.ts'
import type { PathBundle, PathKey } from './path-bundle.ts'
import type * as rules from './rules.ts'
import { type Column, TABLES, type Table } from './tables.ts'

const kept =
  (rule: rules.Rule): z.core.CheckFn<unknown> =>
  ({ value, issues }) => {
    const found = rule(value) ?? []
    for (const { path, message } of typeof found === 'string' ? [{ path: '', message: found }] : found)
      issues.push({ code: 'custom', message, input: value, path: path === '' ? [] : [path] })
  }

const TYPES: Readonly<Record<Column['kind'], (error: string) => z.ZodType>> = {
  text: (error) => z.string({ error }),
  integer: (error) => z.number({ error }),
  real: (error) => z.number({ error }),
  boolean: (error) => z.boolean({ error }),
  time: (error) => z.date({ error }),
  list: (error) => z.array(z.string({ error: 'must be a string' }), { error }),
  json: () => z.custom(),
}

/** A value of another type gets the rule's message for a missing value. */
function schemaOf({ kind, rule }: Column): z.ZodType {
  const problem = rule(undefined)
  return TYPES[kind](typeof problem === 'string' ? problem : 'must be given').check(kept(rule))
}

/** The schema of a row as a caller gives it. */
type Given<Row> = z.ZodObject<
  {
    [P in keyof Row]-?: undefined extends Row[P]
      ? z.ZodOptional<z.ZodType<Exclude<Row[P], undefined>, Exclude<Row[P], undefined>>>
      : z.ZodType<Row[P], Row[P]>
  },
  z.core.$strict
>

/** `isOptional`: whether a column may be left out. */
function given<Row>({ columns }: Pick<Table, 'columns'>, isOptional: (column: Column) => boolean): Given<Row> {
  const shape = columns.map((column): [string, z.ZodType] => {
    const schema = schemaOf(column)
    return [column.property, isOptional(column) ? schema.optional() : schema]
  })
  // The descriptions were compared with the row types where they were written.
  return z.strictObject(Object.fromEntries(shape)) as unknown as Given<Row>
}

const created = <Row>(table: Table): Given<Row> => given(table, ({ filledIn }) => filledIn !== undefined)
const patched = <Row>({ patch }: Table): Given<Row> => given({ columns: patch }, () => true)

/** Argument of `nodes.create` and `nodes.save`. */
export const newMeshNodeSchema = created<NewMeshNode>(TABLES.nodes)
/** Argument of `nodes.update`. */
export const meshNodePatchSchema = patched<MeshNodePatch>(TABLES.nodes)
/** Argument of `policies.create` and `policies.save`. The schema does not check the YAML; counting the rules does. */
export const newPolicySchema = created<NewPolicy>(TABLES.policies)
/** Argument of `policies.update`. */
export const policyPatchSchema = patched<PolicyPatch>(TABLES.policies)

const KEY = ['source', 'destination', 'k']
/** The key of a cached bundle. */
export const pathKeySchema = given<PathKey>(
  { columns: TABLES.pathCache.columns.filter(({ property }) => KEY.includes(property)) },
  () => false,
)
/** The bundle of `pathCache.set`. */
export const pathBundleSchema: z.ZodType<PathBundle, PathBundle> = given<{ bundle: PathBundle }>(
  { columns: TABLES.pathCache.columns.filter(({ kind }) => kind === 'json') },
  () => false,
).shape.bundle
