/** An application's own tables and statements: loaded for those that have them, as most stores need nothing of them. */
import type { SchemaTypes, Statements } from '../api.ts'
import type { Session } from '../database/session.ts'
import type { repositoriesOf } from './repository.ts'
import type { statementsOn } from './runner.ts'

export interface OwnTables {
  readonly repositoriesOf: typeof repositoriesOf
  readonly statementsOn: typeof statementsOn
}

let loaded: OwnTables | undefined

export async function loadOwnTables(): Promise<OwnTables> {
  if (loaded === undefined) {
    const [{ repositoriesOf }, { statementsOn }] = await Promise.all([import('./repository.ts'), import('./runner.ts')])
    loaded = { repositoriesOf, statementsOn }
  }
  return loaded
}

/** For a store without own tables. Its statements can only read: nothing depends on the order of these calls. */
export const statementsOnDemand = (session: Session): Statements<SchemaTypes> =>
  ({
    query: async (...call: readonly [never]) => (await loadOwnTables()).statementsOn(session).query(...call),
    run: async (...call: readonly [never]) => (await loadOwnTables()).statementsOn(session).run(...call),
  }) as unknown as Statements<SchemaTypes>
