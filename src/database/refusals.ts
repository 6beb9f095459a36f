/** Errors of calls that a database of either dialect refuses before they begin. */
import { misuse, StorageError } from '../errors.ts'

export const closedError = (): StorageError =>
  new StorageError('CLOSED', 'The store is closed. Nothing was written. Open a new one with openStorage().')
export const readOnlyError = (): StorageError =>
  new StorageError('READ_ONLY', 'The store was opened read-only. Nothing was written. Open it without readOnly.')
export const closedInside = (): StorageError =>
  misuse('close() inside a transaction of the same store would wait for itself. Call it after the transaction.')
