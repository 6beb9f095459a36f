/**
 * Reads the keys of inserts that a rolled-back savepoint ran. The callback knows whether each key was free, so its transaction
 * depends on that. PostgreSQL forgets the dependency with the savepoint: an insert reads no row, and takes no predicate lock on a
 * free key. Two transactions could each undo an insert and then insert the other's key (write skew).
 */
import { quotedName } from '../../schema/described.ts'
import { ALL_TABLES } from '../../schema/tables.ts'
import type { Inserted } from '../inserted-keys.ts'
import type { BoundStatement, Compiled } from '../statement.ts'
import { textArray } from './arrays.ts'

const lookAt = (name: string, sql: string): Compiled<never, never> => ({ name, sql, bind: () => [], decode: undefined })

const LOOKS = new Map(
  ALL_TABLES.map(({ name, twin, key }) => [
    twin as string,
    {
      keys: lookAt(`${name}.undone`, `SELECT FROM ${quotedName(name)} WHERE ${quotedName(key.name)} = ANY($1::text[])`),
      table: lookAt(`${name}.undone*`, `SELECT count(*) FROM ${quotedName(name)}`),
    },
  ]),
)

/** Reads the keys: from now on the transaction depends on them. */
export function* lookingAt(inserted: Inserted): Generator<BoundStatement<never>> {
  for (const [table, keys] of inserted) {
    const looks = LOOKS.get(table)
    if (looks === undefined) continue
    if (keys === 'any') yield { compiled: looks.table, values: [] }
    else yield { compiled: looks.keys, values: [textArray.mapToDriverValue([...keys])] }
  }
}
