/** The library's contract: every interface that an application sees. */
export type * from './api/backup.ts'
export type * from './api/changes.ts'
export type * from './api/move.ts'
export type * from './api/options.ts'
export type * from './api/path-cache.ts'
export type * from './api/repositories.ts'
export type * from './api/store.ts'
export type * from './api/tables.ts'
