/**
 * `meshstore/zod`: the store's rules as zod schemas. Install zod yourself: it is an optional peer dependency.
 *
 * @module meshstore/zod
 */
export {
  meshNodePatchSchema,
  newMeshNodeSchema,
  newPolicySchema,
  pathBundleSchema,
  pathKeySchema,
  policyPatchSchema,
} from './schema/validators.ts'
