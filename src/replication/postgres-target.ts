import type { Ask } from '../database/postgres/single.ts'
import { isOwn } from '../rows/own-tables.ts'
import { snapshotOf } from '../rows/postgres-source.ts'
import { insert } from '../rows/postgres-target.ts'
import { contentIn } from '../rows/send.ts'
import { quotedName as quoted } from '../schema/described.ts'
import { putApart } from './postgres-collisions.ts'
import type { ReplicaTarget } from './target.ts'

/** Target on a connection with an open transaction. */
export const targetOn = (ask: Ask): ReplicaTarget => ({
  put: (table, rows) => (isOwn(table) ? putApart(ask, table, rows) : insert(ask, table, rows, 'replace')),
  remove: async ({ name, key }, keys) => {
    await ask(`DELETE FROM ${quoted(name)} WHERE ${quoted(key.name)} = ANY($1::text[])`, [keys])
  },
  removeBetween: async ({ name, key }, { after, upTo }, keys) => {
    await ask(
      `DELETE FROM ${quoted(name)} WHERE ($1::text IS NULL OR ${quoted(key.name)} > $1)
       AND ($2::text IS NULL OR ${quoted(key.name)} <= $2) AND ${quoted(key.name)} <> ALL($3::text[])`,
      [after ?? null, upTo ?? null, keys],
    )
  },
  content: (table) => contentIn(snapshotOf(ask, '', { asStored: true }), table, () => {}),
})
