/** Translates the system's errors of file access outside of SQLite. By code, never by message. */
import { translated } from '../database/sqlite/errors.ts'
import { isError, StorageError, type StorageErrorCode } from '../errors.ts'

type Meaning = readonly [code: StorageErrorCode, message: string]

const FULL: Meaning = ['STORAGE_FULL', 'The disk is full; nothing was written. Make room and try again.']
const READ_ONLY: Meaning = ['READ_ONLY', 'The file or its folder may not be read or written.']
const UNUSABLE: Meaning = ['CONFIG', 'The path cannot be used: look at its name and its folder.']
const FAILED: Meaning = ['UNAVAILABLE', 'The system reported an error; nothing was written.']

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EROFS: READ_ONLY,
  EACCES: READ_ONLY,
  EPERM: READ_ONLY,
  EEXIST: UNUSABLE,
  EISDIR: UNUSABLE,
  ELOOP: UNUSABLE,
  EINVAL: UNUSABLE,
  ENAMETOOLONG: UNUSABLE,
  ENOENT: UNUSABLE,
  ENOTDIR: UNUSABLE,
}

const isSystemError = (error: unknown): error is Error & { readonly code: string } =>
  isError(error) && 'syscall' in error && 'code' in error && typeof error.code === 'string'

/** Anything that SQLite or the system threw, as a StorageError. Returns other errors unchanged. */
export function translatedFile(error: unknown): unknown {
  if (!isSystemError(error)) return translated(error)
  const [code, message] = MEANINGS[error.code] ?? FAILED
  return new StorageError(code, `${message} (${error.code})`, { cause: error })
}

/** CONFIG with this message, unless the disk is at fault. */
export function unusable(message: string, error: unknown): unknown {
  const failure = translatedFile(error)
  const ofDisk = failure instanceof StorageError && ['STORAGE_FULL', 'UNAVAILABLE'].includes(failure.code)
  return ofDisk ? failure : new StorageError('CONFIG', message, { cause: error })
}
