/** Does one thing to a database, and says what became of each part of it: some call of it is made to fail. */
import { openStorage, restoreBackup, StorageError } from '../../src/index.ts'
import { say } from '../sqlite/support/messages.ts'
import { UNITS, type Unit } from './io-units.ts'

export type What = 'write' | 'back up' | 'restore' | 'migrate' | 'create'

/** One line each; `outcome` is `'done'` or the code of its error. */
export interface Said {
  readonly part: string
  readonly outcome: string
}

async function tell(part: string, work: () => Promise<unknown>): Promise<boolean> {
  const outcome = await work().then(
    () => 'done',
    (error: unknown) => {
      if (error instanceof StorageError) return error.code
      throw error
    },
  )
  say({ part, outcome } satisfies Said)
  return outcome === 'done'
}

type Store = Awaited<ReturnType<typeof openStorage>>

async function withStore(path: string, work: (store: Store) => Promise<void>): Promise<void> {
  let store: Store | undefined
  await tell('open', async () => {
    store = await openStorage(path)
  })
  if (store === undefined) return
  await work(store)
  const opened = store
  await tell('close', () => opened.close())
}

const each = async (store: Store, units: readonly (readonly Unit[])[]): Promise<void> => {
  for (const together of units) await Promise.all(together.map((unit) => tell(unit.name, () => unit.run(store))))
}

const WORK: Record<What, (path: string, other: string) => Promise<unknown>> = {
  write: (path) => withStore(path, (store) => each(store, UNITS)),
  'back up': (path, target) =>
    withStore(path, async (store) => void (await tell('backup', () => store.backup(target)))),
  restore: (path, file) => tell('restore', () => restoreBackup(file, path, { replace: true })),
  migrate: (path) => withStore(path, async () => {}),
  create: (path) => withStore(path, (store) => each(store, UNITS.slice(0, 3))),
}

const [what, path = '', other = ''] = process.argv.slice(2)
await WORK[what as What](path, other)
