/** The places where a suite of own tables runs: on each backend plainly, and again inside of a transaction. */
import { describe } from 'vitest'
import { type Meshstore, openStorage, type Transaction } from '../../../src/index.ts'
import type { SchemaOf } from '../../../src/tables/define.ts'
import { type Backend, backends, type OpenOptions, type OpenStore } from '../../support/backends.ts'
import { Clock } from '../../support/clock.ts'
import { app, migrations } from './schema.ts'

export type App = SchemaOf<typeof app.tables>
export type AppStore = Meshstore<App>
export type AppTransaction = Transaction<App>

export interface AppStage extends Pick<AppTransaction, 'tables' | 'nodes' | 'pathCache' | 'query' | 'run'> {
  readonly clock: Clock
  transaction<T>(work: (tx: AppTransaction) => Promise<T>): Promise<T>
}

/** The store as `openStorage({ tables: app })` types it: the backends open stores of any schema. */
export const withTables = ({ store }: Pick<OpenStore, 'store'>): AppStore => store as unknown as AppStore

export const openApp = (url: string, options: OpenOptions = {}): Promise<AppStore> =>
  openStorage({ url, migrations, ...options, tables: app })

export interface AppSetting {
  readonly backend: Backend
  readonly inTransaction: boolean
  run(work: (stage: AppStage) => Promise<unknown>): Promise<void>
}

export function eachAppSetting(title: string, suite: (setting: AppSetting) => void): void {
  for (const backend of backends)
    for (const inTransaction of [false, true])
      describe(`${title}, ${backend.name}${inTransaction ? ', in a transaction' : ''}`, () =>
        suite({
          backend,
          inTransaction,
          run: async (work) => {
            const clock = new Clock()
            await using opened = await backend.open({ now: clock.now, tables: app, migrations })
            const store = withTables(opened)
            const transaction: AppStage['transaction'] = (nested) => store.transaction(nested, { timeoutMs: 60_000 })
            if (!inTransaction) {
              const { tables, nodes, pathCache } = store
              const { query, run } = store
              await work({ tables, nodes, pathCache, query, run, clock, transaction })
            } else
              await transaction(({ tables, nodes, pathCache, query, run, transaction: nested }) =>
                work({ tables, nodes, pathCache, query, run, clock, transaction: nested }),
              )
          },
        }))
}

export const link = (linkId: string, more: Partial<Parameters<AppStore['tables']['links']['create']>[0]> = {}) => ({
  linkId,
  source: 'a',
  target: 'b',
  tags: [],
  ...more,
})
