/** Rows of `meshstore_state`, by name, on a connection past the sessions. */
import { encodeTime } from '../../schema/codecs.ts'
import type { Ask } from './single.ts'

export async function noteIn(ask: Ask, name: string): Promise<string | undefined> {
  const [row] = await ask<[string]>('SELECT value FROM meshstore_state WHERE name = $1', [name])
  return row?.[0]
}

/** Takes the text and its values, as an `Ask` or a client does. */
type Run = (text: string, values: unknown[]) => Promise<unknown>

/** Writes the row, or replaces its value. */
export const note = (run: Run, name: string, value: string, at: Date): Promise<unknown> =>
  run(
    `INSERT INTO meshstore_state (name, value, updated_at) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
    [name, value, encodeTime(at)],
  )

export const forget = (ask: Ask, name: string): Promise<unknown> =>
  ask('DELETE FROM meshstore_state WHERE name = $1', [name])
