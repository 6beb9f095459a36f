import type { Ask } from '../database/postgres/single.ts'
import { snapshotOf } from '../rows/postgres-source.ts'
import { insert } from '../rows/postgres-target.ts'
import { contentIn } from '../rows/send.ts'
import type { ReplicaTarget } from './target.ts'

/** Target on a connection with an open transaction. */
export const targetOn = (ask: Ask): ReplicaTarget => ({
  put: (table, rows) => insert(ask, table, rows, 'replace'),
  remove: async ({ name, key }, keys) => {
    await ask(`DELETE FROM ${name} WHERE ${key.name} = ANY($1::text[])`, [keys])
  },
  removeBetween: async ({ name, key }, { after, upTo }, keys) => {
    await ask(
      `DELETE FROM ${name} WHERE ($1::text IS NULL OR ${key.name} > $1) AND ($2::text IS NULL OR ${key.name} <= $2)
       AND ${key.name} <> ALL($3::text[])`,
      [after ?? null, upTo ?? null, keys],
    )
  },
  content: (table) => contentIn(snapshotOf(ask, '', { asStored: true }), table, () => {}),
})
