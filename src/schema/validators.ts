/**
 * The rules at the door as zod schemas, for applications: made from the tables, of which the SQLite twin speaks for both.
 * Every column's schema is passed explicitly: of a custom column alone drizzle-zod makes `z.any()`.
 *
 * The repositories check by the rules themselves: zod would take 25 ms and 13 MB at the first write, and would have to be
 * loaded while the caller's later writes overtake it. A property test proves that both give the same verdict.
 */
import { createInsertSchema, createUpdateSchema } from 'drizzle-zod'
import { z } from 'zod'
import { bundleProblems } from './bundle-rules.ts'
import type { PathBundle } from './path-bundle.ts'
import * as rules from './rules.ts'
import { nodes, pathCache, policies } from './sqlite.ts'

const kept =
  <T>(rule: rules.SimpleRule): z.core.CheckFn<T> =>
  ({ value, issues }) => {
    const message = rule(value)
    if (message !== undefined) issues.push({ code: 'custom', message, input: value })
  }

const id = z.string({ error: 'must be a string' }).check(kept(rules.isId))
const idList = z
  .array(id, { error: 'must be a list of strings' })
  .max(rules.MAX_LIST_ITEMS, { error: `must not have more than ${rules.MAX_LIST_ITEMS} items` })
const flag = z.boolean({ error: 'must be true or false' })
const integer = z
  .number({ error: `must be an integer from ${rules.MIN_INTEGER} to ${rules.MAX_INTEGER}` })
  .check(kept(rules.isInteger(rules.MIN_INTEGER, rules.MAX_INTEGER)))
const time = z.date({ error: 'must be a valid Date' })
/** Whether it is YAML is found when its rules are counted. */
const yamlText = z.string({ error: 'must be a string' }).check(kept(rules.isLongText))
const bundle = z.custom<PathBundle>().check((context) => {
  for (const { path, message } of bundleProblems(context.value)) {
    context.issues.push({ code: 'custom', message, input: context.value, path: path === '' ? [] : [path] })
  }
})

/** What `nodes.create` and `nodes.save` take. */
export const newMeshNodeSchema = createInsertSchema(nodes, {
  nodeId: id,
  interfaces: idList,
  protocols: idList,
  started: flag.optional(),
  routesDiscovered: integer.optional(),
  createdAt: time.optional(),
  updatedAt: time.optional(),
}).strict()

/** What `nodes.update` takes. */
export const meshNodePatchSchema = createUpdateSchema(nodes, {
  nodeId: id.optional(),
  interfaces: idList.optional(),
  protocols: idList.optional(),
  started: flag.optional(),
  routesDiscovered: integer.optional(),
  createdAt: time.optional(),
  updatedAt: time.optional(),
})
  .omit({ nodeId: true, createdAt: true, updatedAt: true })
  .strict()

/** What `policies.create` and `policies.save` take. */
export const newPolicySchema = createInsertSchema(policies, {
  policyId: id,
  yamlContent: yamlText,
  rulesCount: integer.optional(),
  createdAt: time.optional(),
  updatedAt: time.optional(),
}).strict()

/** What `policies.update` takes. */
export const policyPatchSchema = createUpdateSchema(policies, {
  policyId: id.optional(),
  yamlContent: yamlText.optional(),
  rulesCount: integer.optional(),
  createdAt: time.optional(),
  updatedAt: time.optional(),
})
  .pick({ yamlContent: true })
  .strict()

const cachedPathSchema = createInsertSchema(pathCache, {
  cacheKey: id,
  source: id,
  destination: id,
  k: z.number({ error: `must be an integer from 1 to ${rules.MAX_K}` }).check(kept(rules.isK)),
  bundle,
  createdAt: time,
  expiresAt: time,
})

/** What a bundle is cached under. */
export const pathKeySchema = cachedPathSchema.pick({ source: true, destination: true, k: true }).strict()

/** What `pathCache.set` takes as a bundle. */
export const pathBundleSchema = cachedPathSchema.shape.bundle
