/** A URL becomes a place. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { StorageError } from '../errors.ts'
import { checkPath } from '../files/path-rules.ts'
import { BucketPlace } from './bucket.ts'
import { FolderPlace } from './folder.ts'
import type { Place } from './place.ts'

/** At least two letters: `C:` is a drive. */
const SCHEME = /^([a-z][a-z0-9+.-]+):/i

/** Throws CONFIG. */
export function placeOf(url: string): Place {
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase()
  if (scheme === undefined || scheme === 'file') {
    const path = scheme === undefined ? url : fromFileUrl(url)
    checkPath(path)
    return new FolderPlace(resolve(path))
  }
  if (scheme === 's3') return new BucketPlace(url)
  throw new StorageError('CONFIG', `A replica cannot be in ${scheme}:. Use a folder, file: or s3://bucket/prefix.`)
}

function fromFileUrl(url: string): string {
  const rest = url.slice('file:'.length)
  if (!rest.startsWith('/')) return rest
  try {
    return fileURLToPath(new URL(url))
  } catch {
    throw new StorageError('CONFIG', 'The file: URL names no local folder. Use a path.')
  }
}
