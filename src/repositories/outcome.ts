/** `save()` that says whether it added the row. */
import type { Saved } from '../api.ts'
import type { Call, Calls, Rows, Session } from '../database/session.ts'
import * as rules from '../schema/rules.ts'

const RULES: rules.Rules = { outcome: rules.isFlag }

/** Whether the caller asked for the outcome. Throws VALIDATION. */
export function wantsOutcome(options: { readonly outcome?: boolean | undefined }): boolean {
  rules.checkOptions('The options', RULES, options)
  return options.outcome === true
}

/** An update of the row, then an insert that an existing row keeps from writing. Neither dialect's upsert says which it was. */
export const updateThenInsert = <P, Row, New extends object>(
  update: Call<P, Row>,
  insert: Call<New, never>,
): readonly Call<never, Row>[] =>
  // From here on nobody tells them apart by their parameters.
  [update, insert] as readonly unknown[] as Call<never, Row>[]

/** Runs them atomically. `undefined` if a trigger kept the row from being saved. */
export async function saveWithOutcome<Row>(
  session: Session,
  calls: Calls<never, Row>,
  rows: Rows,
): Promise<Saved<Row> | undefined> {
  const [updated, inserted] = await session.writeEach(
    calls,
    (written, { parameters }) => ({ written, parameters }),
    rows,
  )
  const row = updated?.written.rows[0]
  if (row !== undefined) return { row, created: false }
  return inserted !== undefined && inserted.written.changes > 0
    ? { row: { ...(inserted.parameters as Row) }, created: true }
    : undefined
}
