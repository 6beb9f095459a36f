import { expect, test } from 'vitest'
import { expectCode } from '../../support/expectations.ts'
import { node, policy } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const PATIENCE = 200

/** A trigger that drops updates in silence. At last it gives up, so that a loop over it ends, though too late. */
const dropping = (table: string): string => `
  CREATE TABLE dropped (times INTEGER);
  INSERT INTO dropped VALUES (0);
  CREATE TRIGGER dropping BEFORE UPDATE ON ${table} BEGIN
    UPDATE dropped SET times = times + 1;
    SELECT RAISE(IGNORE) FROM dropped WHERE times < ${PATIENCE};
  END`

/** In SQL of SQLite's own. */
export function silentTriggers({ run, backend }: Setting): void {
  if (!backend.has.file) return

  test.each(['update', 'recordRoutes', 'save'] as const)(
    'a trigger of another program that drops %s of a node in silence is a CONFLICT, and no endless attempt',
    (method) =>
      run(
        async ({ nodes }) => {
          const before = await nodes.get('a')
          const attempts = {
            update: () => nodes.update('a', { started: true }),
            recordRoutes: () => nodes.recordRoutes('a'),
            save: () => nodes.save(node('a', { started: true })),
          }
          await expectCode(attempts[method](), 'CONFLICT')
          expect(await nodes.get('a')).toEqual(before)
        },
        {
          before: async ({ store, other }) => {
            await store.nodes.create(node('a'))
            await other?.execute(dropping('nodes'))
          },
        },
      ),
  )

  test.each(['update', 'save'] as const)('the same of a policy: %s', (method) =>
    run(
      async ({ policies }) => {
        const before = await policies.get('a')
        const attempts = { update: () => policies.update('a', {}), save: () => policies.save(policy('a', '')) }
        await expectCode(attempts[method](), 'CONFLICT')
        expect(await policies.get('a')).toEqual(before)
      },
      {
        before: async ({ store, other }) => {
          await store.policies.create(policy('a'))
          await other?.execute(dropping('policies'))
        },
      },
    ),
  )
}
