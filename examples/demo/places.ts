/** The places of the demo's files. */
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { temporaryFolder } from '../../bench/disk.ts'
import { UsageError } from './usage.ts'

export interface Places {
  /** The database, which stays. */
  readonly file: string
  /** On the same disk, for copies; removed at the end. */
  readonly scratch: string
  /** The path to remove to be rid of the database. */
  readonly remains: string
}

/** Throws UsageError: nothing is ever replaced. */
export function placesFor(db: string | undefined): Places {
  if (db === undefined) {
    const folder = temporaryFolder('meshstore-demo-')
    return { file: join(folder, 'mesh.db'), scratch: mkdtempSync(join(folder, 'copies-')), remains: folder }
  }
  const file = resolve(db)
  for (const name of [file, `${file}-wal`, `${file}-journal`]) {
    if (existsSync(name)) throw new UsageError(`${name} is there already, and nothing is ever replaced. Name another.`)
  }
  mkdirSync(dirname(file), { recursive: true })
  return { file, scratch: mkdtempSync(join(dirname(file), '.meshstore-demo-')), remains: file }
}
