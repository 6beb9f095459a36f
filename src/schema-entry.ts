/** `meshstore/schema`: the tables and the validators, for those who write their own queries or check their own input. */
export * as postgres from './schema/postgres.ts'
export * as sqlite from './schema/sqlite.ts'
export {
  meshNodePatchSchema,
  newMeshNodeSchema,
  newPolicySchema,
  pathBundleSchema,
  pathKeySchema,
  policyPatchSchema,
} from './schema/validators.ts'
