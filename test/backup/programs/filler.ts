/** Backs up, or restores, when it is told, and says what came of it; a disk may be made to fail it in the middle of that. */
import { existsSync, readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { openStorage, restoreBackup, StorageError } from '../../../src/index.ts'
import { waitFor } from '../../faults/migration-barrier.ts'
import { messages, say } from '../../sqlite/support/messages.ts'

export interface Order {
  readonly do: 'backup' | 'restore'
  readonly path: string
  readonly file: string
  /** Waits, at the first step of the copy to this file's folder, until there is a file of this name. */
  readonly pause: string
}

export interface Answer {
  readonly outcome: string
  readonly message: string
  readonly left: string[]
}

async function obey({ do: what, path, file, pause }: Order): Promise<Answer> {
  let paused = false
  const onProgress = (): void => {
    if (!paused && !existsSync(pause)) waitFor(pause, JSON.stringify('paused'))
    paused = true
  }
  const left = (): string[] => {
    const folder = dirname(what === 'backup' ? file : path)
    return existsSync(folder) ? readdirSync(folder).sort() : []
  }
  try {
    if (what === 'restore') await restoreBackup(file, path, { replace: true, onProgress })
    else {
      const store = await openStorage({ url: path, readOnly: true })
      try {
        await store.backup(file, { onProgress })
      } finally {
        await store.close()
      }
    }
    return { outcome: 'done', message: '', left: left() }
  } catch (error) {
    if (!(error instanceof StorageError)) return { outcome: `no StorageError: ${error}`, message: '', left: left() }
    return { outcome: error.code, message: error.message, left: left() }
  }
}

for await (const order of messages<Order>()) say(JSON.stringify(await obey(order)))
