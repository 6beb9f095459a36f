/** Values that no column of PostgreSQL could hold: a text for a number, a blob for a text. */
import { describe, expect, test } from 'vitest'
import { CANARY, LOOSE_CASES } from '../conformance/errors/broken.ts'
import { brokenRows } from '../conformance/errors/corrupt-rows.ts'
import { sqliteFile, sqliteMemory } from '../support/backends.ts'
import { node, policy } from '../support/samples.ts'
import { settingOf } from '../support/settings.ts'

for (const backend of [sqliteFile, sqliteMemory]) {
  describe.each([false, true])(`loose types: ${backend.name}, in a transaction: %s`, (inTransaction) => {
    const setting = settingOf(backend, inTransaction)
    brokenRows(setting, LOOSE_CASES)

    test('a row whose columns have the wrong type can be deleted, a list that is a text be replaced', () =>
      setting.run(
        async ({ nodes, policies }) => {
          expect(await nodes.delete('bad')).toBe(true)
          expect(await policies.delete('bad')).toBe(true)
          expect((await nodes.update('updated', { interfaces: ['eth1'] })).interfaces).toEqual(['eth1'])
          expect((await nodes.save(node('saved'))).interfaces).toEqual(node('saved').interfaces)
        },
        {
          before: async ({ store, other }) => {
            await store.nodes.createMany([node('bad'), node('updated'), node('saved')])
            await store.policies.create(policy('bad'))
            for (const id of ['bad', 'updated', 'saved']) await other.corrupt('nodes', id, { interfaces: CANARY })
            await other.corrupt('policies', 'bad', { rules_count: CANARY })
          },
        },
      ))
  })
}
