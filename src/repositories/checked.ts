import { validationError } from '../errors.ts'
import type { MeshNodePatch, NewMeshNode, NewPolicy, PolicyPatch } from '../schema/index.ts'
import * as rules from '../schema/rules.ts'

/**
 * Checks at the door. All of it happens when a method is called, before anything is waited for: writes take effect in the
 * order in which they were called, and as they were when they were called.
 */

const isInteger = rules.isInteger(rules.MIN_INTEGER, rules.MAX_INTEGER)
const TIMES: rules.Rules = { createdAt: rules.isTime, updatedAt: rules.isTime }

const PATCH_RULES: rules.Rules = {
  interfaces: rules.isIdList,
  protocols: rules.isIdList,
  started: rules.isFlag,
  routesDiscovered: isInteger,
}
const NODE_RULES: rules.Rules = { nodeId: rules.isId, ...PATCH_RULES, ...TIMES }
const NODE_REQUIRED = ['nodeId', 'interfaces', 'protocols']

const POLICY_RULES: rules.Rules = {
  policyId: rules.isId,
  yamlContent: rules.isYamlText,
  rulesCount: isInteger,
  ...TIMES,
}
const POLICY_REQUIRED = ['policyId', 'yamlContent']

// The rules give each property the type that it has in the row.
export const checkedNode = (node: unknown, path = ''): NewMeshNode =>
  rules.checkedCopy('The node', NODE_RULES, node, { required: NODE_REQUIRED, path }) as NewMeshNode

export const checkedNodePatch = (patch: unknown): MeshNodePatch =>
  rules.checkedCopy('The patch', PATCH_RULES, patch, { required: [] })

export const checkedPolicy = (policy: unknown, path = ''): NewPolicy =>
  rules.checkedCopy('The policy', POLICY_RULES, policy, { required: POLICY_REQUIRED, path }) as NewPolicy

export const checkedPolicyPatch = (patch: unknown): PolicyPatch =>
  rules.checkedCopy('The patch', { yamlContent: rules.isYamlText }, patch, { required: [] })

/** Checks each of a list; `path` is `[0]`, `[1]` and so on. */
export function checkedAll<T>(what: string, values: unknown, check: (value: unknown, path: string) => T): T[] {
  if (!Array.isArray(values)) throw validationError(what, [{ path: '', message: 'must be a list' }])
  return Array.from(values, (value, index) => check(value, `[${index}]`))
}
