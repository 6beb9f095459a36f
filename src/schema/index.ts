/** Row types, derived from the SQLite tables. A type test proves that the PostgreSQL tables have equal types. */
import type { InferInsertModel, InferSelectModel } from 'drizzle-orm'
import type { nodes, pathCache, policies } from './sqlite.ts'

type Flat<T> = { [K in keyof T]: T[K] }
/** An `undefined` given for an optional property means absent. */
type Optional<T, K extends keyof T> = Flat<Omit<T, K> & { [P in K]?: T[P] | undefined }>
type Insert<T> = Required<T>

/** A node of the mesh. */
export type MeshNode = InferSelectModel<typeof nodes>
/** Argument of `create` and `save`. Default of `createdAt`: now. A given `updatedAt` is ignored. */
export type NewMeshNode = Optional<
  Insert<InferInsertModel<typeof nodes>>,
  'started' | 'routesDiscovered' | 'createdAt' | 'updatedAt'
>
/** Argument of `update`. */
export type MeshNodePatch = Flat<{
  [P in Exclude<keyof MeshNode, 'nodeId' | 'createdAt' | 'updatedAt'>]?: MeshNode[P] | undefined
}>

/** A policy: its YAML byte for byte, and the number of its rules. */
export type Policy = InferSelectModel<typeof policies>
/** Result of `list` and `iterate`: a policy without its text. */
export type PolicySummary = Flat<Omit<Policy, 'yamlContent'>>
/** Argument of `create` and `save`. Default of `createdAt`: now. A given `updatedAt` or `rulesCount` is ignored. */
export type NewPolicy = Optional<Insert<InferInsertModel<typeof policies>>, 'rulesCount' | 'createdAt' | 'updatedAt'>
/** Argument of `update`. */
export type PolicyPatch = { yamlContent?: string | undefined }

/** A bundle in the cache, with its times. */
export type CachedPath = InferSelectModel<typeof pathCache>

export type { Path, PathBundle, PathKey } from './path-bundle.ts'
