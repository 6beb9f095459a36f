/**
 * `meshstore`: opens a store, restores and copies databases.
 *
 * @module meshstore
 */
import './node-version.ts'

export type * from './api.ts'
export { verifyBackup } from './backup/index.ts'
export { StorageError, type StorageErrorCode, type ValidationIssue } from './errors.ts'
export { copyDatabase } from './move/index.ts'
export { policyDocuments } from './repositories/policy-documents.ts'
export { restoreBackup } from './restore/index.ts'
export type {
  CachedPath,
  MeshNode,
  MeshNodePatch,
  NewMeshNode,
  NewPolicy,
  Path,
  PathBundle,
  PathKey,
  Policy,
  PolicyPatch,
  PolicySummary,
} from './schema/index.ts'
export { openStorage } from './storage.ts'
export type {
  BackupEvent,
  CacheEvent,
  CommitEvent,
  FailoverEvent,
  MoveEvent,
  ReplicationEvent,
  RetryEvent,
  RetryReason,
  StatementEvent,
  SweepEvent,
  TransactionEvent,
} from './tracing-events.ts'
