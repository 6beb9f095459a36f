/** Translates the system's errors of file access outside of SQLite. By code, never by message. */
import { dirname } from 'node:path'
import { translated } from '../database/sqlite/errors.ts'
import { isError, StorageError, type StorageErrorCode } from '../errors.ts'

type Meaning = readonly [code: StorageErrorCode, message: string]

const FULL: Meaning = ['STORAGE_FULL', 'The disk is full. Nothing was written. Make room, then try again.']
const READ_ONLY: Meaning = [
  'READ_ONLY',
  'The system denies access to the file or its folder. Nothing was written. Check their owner and mode.',
]
const UNUSABLE: Meaning = ['CONFIG', 'The path cannot be used. Nothing was written. Check its name and its folder.']
const FAILED: Meaning = [
  'UNAVAILABLE',
  'The system reported an error. Nothing was written. Check the disk, then try again.',
]

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

/** The folder alone: the file may have a temporary name. */
const placeOf = (error: object): string | undefined =>
  'path' in error && typeof error.path === 'string' ? `in ${dirname(error.path)}` : undefined

/** Anything that SQLite or the system threw, as a StorageError. Returns other errors unchanged. */
export function translatedFile(error: unknown): unknown {
  if (!isSystemError(error)) return translated(error)
  const [code, message] = MEANINGS[error.code] ?? FAILED
  return new StorageError(code, `${message} (${[error.code, placeOf(error)].filter(Boolean).join('; ')})`, {
    cause: error,
  })
}

/** CONFIG with this message, unless the disk is at fault. */
export function unusable(message: string, error: unknown): unknown {
  const failure = translatedFile(error)
  const ofDisk = failure instanceof StorageError && ['STORAGE_FULL', 'UNAVAILABLE'].includes(failure.code)
  return ofDisk ? failure : new StorageError('CONFIG', message, { cause: error })
}
