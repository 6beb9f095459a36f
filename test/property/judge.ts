/** Runs a random program without awaiting its calls, and compares what it came to with the model. */
import { setImmediate } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Meshstore } from '../../src/index.ts'
import type { OtherProgram } from '../support/other-program.ts'
import { codeOf, IDS, type Id, type Operation, outcomeOf, Program } from './calls.ts'
import { Model } from './model/calls.ts'

/** Every way in which a database may refuse a write, for a role that does not own the tables. */
export const ON_POSTGRES = `
  CREATE FUNCTION refusing() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF NEW.interfaces::text LIKE '%refuse%' THEN RAISE EXCEPTION 'refused' USING ERRCODE = 'U0001'; END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER refusing BEFORE INSERT OR UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION refusing();
  ALTER TABLE nodes ENABLE ROW LEVEL SECURITY;
  CREATE POLICY forbidding ON nodes USING (true) WITH CHECK (interfaces::text NOT LIKE '%forbid%');
  CREATE TABLE allowed (name text PRIMARY KEY);
  ALTER TABLE nodes ADD COLUMN later text
    GENERATED ALWAYS AS (CASE WHEN interfaces::text LIKE '%defer%' THEN 'deferred' END) STORED
    REFERENCES allowed DEFERRABLE INITIALLY DEFERRED;
  ALTER TABLE nodes DROP CONSTRAINT nodes_created_time`

export interface Judged {
  readonly store: Meshstore
  readonly other: OtherProgram
  /** Whether the database holds rows that cannot be decoded. */
  readonly canBreak: boolean
  /** Keeps a row locked, until the function that it resolves to is called. */
  readonly lock?: (nodeId: string) => Promise<() => Promise<unknown>>
}

/** `name` is unique in the database. Rejects with what is wrong. */
export async function judge(
  { store, other, canBreak, lock }: Judged,
  name: string,
  operations: readonly Operation[],
): Promise<void> {
  const program = new Program(name)
  const insert = (id: Id, createdAt: number): Promise<void> =>
    other.insert('nodes', {
      node_id: program.name(id),
      interfaces: '[""]',
      protocols: '[]',
      started: 'false',
      routes_discovered: 0,
      created_at: createdAt,
      updated_at: 1,
    })
  if (canBreak) await insert('broken', Number.NaN)
  if (lock !== undefined) await insert('locked', 1)
  const unlock = await lock?.(program.name('locked'))
  const model = new Model({ broken: canBreak ? ['broken'] : [], locked: lock === undefined ? [] : ['locked'] })
  const running: Promise<unknown>[] = []
  for (const each of operations) {
    running.push(program.run(store, each).catch(codeOf))
    if (each.kind === 'turn') await setImmediate()
  }
  const results = (await Promise.all(running)).map((each, at) => outcomeOf(operations[at] as Operation, each))
  await unlock?.()
  expect(results).toEqual(operations.map((each) => model.run(each)))
  const state = await program.state(store)
  expect(state.map(({ node, policy }) => ({ node, policy }))).toEqual(model.state)
  if (model.broken.has('broken')) {
    expect(await other.row('nodes', program.name('broken'))).toMatchObject({ interfaces: '[""]', routes_discovered: 0 })
  }
  for (const [at, { path }] of state.entries()) if (path) expect(model.paths).toContain(IDS[at])
}
