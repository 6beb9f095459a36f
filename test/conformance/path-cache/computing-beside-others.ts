import { expect, test } from 'vitest'
import { expectCode } from '../../support/expectations.ts'
import { bundle, pathKey } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

const A_B = pathKey('a', 'b')
const FOUND = bundle('a', 'b')

/** On the store alone: what another program did to a row that getOrCompute reads or stores. */
export function computingBesideOthers({ run, inTransaction }: Setting): void {
  if (inTransaction) return

  test.each(['{ not JSON', '[]', '7', 'null', ''])('a row that another program broke is computed anew: %j', (text) =>
    run(
      async ({ pathCache }) => {
        await expectCode(pathCache.get(A_B), 'CORRUPT')
        expect(await pathCache.getOrCompute(A_B, () => FOUND)).toEqual(FOUND)
        expect(await pathCache.get(A_B)).toEqual(FOUND)
      },
      {
        before: async ({ store, other }) => {
          await store.pathCache.set(A_B, bundle('a', 'b', 99))
          await other.corrupt('path_cache', 'a:b:3', { bundle_json: text })
        },
      },
    ),
  )

  test('a bundle is returned though a trigger of another program keeps it from being stored', () =>
    run(
      async ({ pathCache }) => {
        expect(await pathCache.getOrCompute(A_B, () => FOUND)).toEqual(FOUND)
        expect(await pathCache.get(A_B)).toBeUndefined()
        expect(await pathCache.stats()).toMatchObject({ entries: 0, computations: 1 })
      },
      { before: ({ other }) => other.refuseRows('path_cache', 'not here') },
    ))
}
