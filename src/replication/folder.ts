/** A folder as a place. */
import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isError, StorageError } from '../errors.ts'
import { machineTime } from '../event-loop.ts'
import { translatedFile } from '../files/file-errors.ts'
import type { Place } from './place.ts'

const PARTIAL = /\.partial-[0-9a-f]{12}$/
/** An unfinished object that is older than this is abandoned, in milliseconds. */
const ABANDONED_AFTER_MS = 3_600_000

export class FolderPlace implements Place {
  readonly name: string
  readonly #root: string
  readonly #now: () => Date

  constructor(root: string, now = machineTime) {
    this.#root = root
    this.#now = now
    this.name = root
  }

  /** Creates the folder, but not its parent: a disk that is not mounted must not be taken for an empty place. */
  async prepare(): Promise<void> {
    try {
      await mkdir(this.#root, { mode: 0o700 }).catch((error) => {
        if (codeOf(error) !== 'EEXIST') throw error
      })
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw translatedPlace(error)
      const parent = dirname(this.#root)
      throw new StorageError(
        'CONFIG',
        `There is no folder ${parent}. Create it, or make sure that its disk is mounted.`,
        { cause: error },
      )
    }
  }

  async create(name: string, bytes: Uint8Array): Promise<boolean> {
    const file = join(this.#root, name)
    const folder = dirname(file)
    const partial = `${file}.partial-${randomBytes(6).toString('hex')}`
    try {
      if (basename(name) === 'begin') await this.#makeFolder(folder)
      await write(partial, bytes)
      // link(2) refuses a name that is taken: the folder's `If-None-Match: *`.
      await link(partial, file)
      await syncFolder(folder)
      return true
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      throw this.#explained(error)
    } finally {
      await rm(partial, { force: true }).catch(() => {})
    }
  }

  async #makeFolder(folder: string): Promise<void> {
    await mkdir(folder, { mode: 0o700 }).catch((error) => {
      if (codeOf(error) !== 'EEXIST') throw error
    })
    await syncFolder(this.#root)
  }

  async get(name: string): Promise<Buffer | undefined> {
    try {
      return await readFile(join(this.#root, name))
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw translatedPlace(error)
    }
  }

  async list(folder: string, after = ''): Promise<string[]> {
    const names = await this.#namesIn(join(this.#root, folder))
    return names
      .map((name) => `${folder}/${name}`)
      .filter((name) => name > after && !PARTIAL.test(name))
      .sort()
  }

  async folders(): Promise<string[]> {
    return (await this.#namesIn(this.#root)).sort()
  }

  async #namesIn(folder: string): Promise<string[]> {
    try {
      return await readdir(folder)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return []
      throw translatedPlace(error)
    }
  }

  async remove(name: string): Promise<void> {
    try {
      await rm(join(this.#root, name), { force: true })
    } catch (error) {
      throw translatedPlace(error)
    }
  }

  async sweep(folder: string): Promise<void> {
    for (const name of await this.#namesIn(join(this.#root, folder))) {
      const path = join(this.#root, folder, name)
      const touched = PARTIAL.test(name) ? await stat(path).catch(() => undefined) : undefined
      if (touched !== undefined && this.#now().getTime() - touched.mtimeMs > ABANDONED_AFTER_MS)
        await rm(path, { force: true })
    }
  }

  #explained(error: unknown): unknown {
    const translated = translatedPlace(error)
    // Not the database's disk, which an operator would look at first.
    if (translated instanceof StorageError && translated.code === 'STORAGE_FULL')
      return new StorageError(
        'STORAGE_FULL',
        `The disk of ${this.name} is full. Nothing was shipped, and the database writes on. Make room: the replica catches up.`,
        { cause: error },
      )
    if (codeOf(error) !== 'ENOENT') return translated
    return new StorageError(
      'UNAVAILABLE',
      `${this.name} is not there any more. Nothing was shipped. Make sure that its disk is mounted.`,
      { cause: error },
    )
  }
}

/** A place without rights is a mistake in the settings. READ_ONLY would be understood of the database. */
function translatedPlace(error: unknown): unknown {
  const failure = translatedFile(error)
  if (!(failure instanceof StorageError) || failure.code !== 'READ_ONLY') return failure
  return new StorageError('CONFIG', failure.message, { cause: failure.cause })
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const codeOf = (error: unknown): unknown => (isError(error) && 'code' in error ? error.code : undefined)
