/** `meshstore/zod`: the rules for what the store takes as zod schemas. It needs zod, which the package does not bring. */
export {
  meshNodePatchSchema,
  newMeshNodeSchema,
  newPolicySchema,
  pathBundleSchema,
  pathKeySchema,
  policyPatchSchema,
} from './schema/validators.ts'
