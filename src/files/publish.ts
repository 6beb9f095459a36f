/** Gives a finished file its name. */
import { existsSync, linkSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { sync } from '../database/sqlite/sync.ts'
import { StorageError } from '../errors.ts'
import { unusable } from './file-errors.ts'

/** Throws CONFIG if there is a file of this name. */
export function refuseTaken(file: string): void {
  if (existsSync(file))
    throw new StorageError(
      'CONFIG',
      `There is a file at ${file} already. Nothing was written. Name another file, or remove that one.`,
    )
}

/** Gives the finished file its name. Throws CONFIG if another process has taken the name. */
export function publish(partial: string, file: string): void {
  try {
    linkSync(partial, file)
  } catch (error) {
    refuseTaken(file)
    throw unusable(`${file} cannot be created. Nothing was written. Check its folder, or name another file.`, error)
  }
  try {
    rmSync(partial)
    sync(dirname(file))
  } catch (error) {
    rmSync(file, { force: true })
    throw error
  }
}
