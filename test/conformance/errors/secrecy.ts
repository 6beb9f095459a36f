/** No value appears in an error: not in its message, its cause, its stack, or what an inspection of it shows. */
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { StorageError } from '../../../src/index.ts'
import { expectCode } from '../../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../../support/samples.ts'
import type { Setting, Stage } from '../../support/settings.ts'

const CANARY = 'canary-7f3a'
const LONG = CANARY.repeat(30)
const A_B = pathKey('a', 'b')

const everythingOf = (error: unknown): string => {
  const plain = error instanceof StorageError ? [error.message, error.stack, error.issues, error.cause] : error
  return inspect(error, { depth: 20, showHidden: true, maxStringLength: null }) + JSON.stringify(plain)
}

const REFUSED: Readonly<Record<string, (stage: Stage) => Promise<unknown>>> = {
  'an interface': ({ nodes }) => nodes.create(node('a', { interfaces: [LONG] })),
  'a protocol': ({ nodes }) => nodes.createMany([node('a'), node('b', { protocols: [`${CANARY}\0`] })]),
  'a wrong type': ({ nodes }) => nodes.save(node('a', { started: CANARY as never, createdAt: CANARY as never })),
  'a count': ({ nodes }) => nodes.recordRoutes('a', CANARY as never),
  'a filter': ({ nodes }) => nodes.list({ protocol: LONG, started: CANARY as never }),
  'a patch': ({ nodes }) => nodes.update('a', { interfaces: [`${CANARY}\ud800`] }),
  'a policy': ({ policies }) => policies.create(policy('p', `${CANARY}: [${CANARY}\n`)),
  'a policy with a bad anchor': ({ policies }) => policies.create(policy('p', `a: *${CANARY}\n`)),
  'a policy with a bad tag': ({ policies }) => policies.create(policy('p', `a: !<${CANARY} b\n`)),
  'a policy with a bad escape': ({ policies }) => policies.create(policy('p', `a: "\\q${CANARY}"\n`)),
  'a policy with a bad directive': ({ policies }) => policies.create(policy('p', `%YAML ${CANARY}\n---\na\nb: c\n`)),
  'a policy with NUL': ({ policies }) => policies.save(policy('p', `${CANARY}\0`)),
  'a patch of a policy': ({ policies }) => policies.update('p', { yamlContent: `${CANARY}: }` }),
  'a bundle': ({ pathCache }) => pathCache.set(A_B, { ...bundle('a', 'b'), primary: [{ nodes: [LONG] }] }),
  'a number of a bundle': ({ pathCache }) =>
    pathCache.set(A_B, {
      ...bundle(CANARY, 'b'),
      primary: [{ nodes: [CANARY], total_weight: CANARY as never, x: Number.NaN } as never],
    }),
  bundles: ({ pathCache }) => pathCache.setMany([{ key: A_B, bundle: { [CANARY]: CANARY, at: new Date() } as never }]),
  'a ttl': ({ pathCache }) => pathCache.set(A_B, bundle(CANARY, CANARY), { ttlSeconds: CANARY as never }),
  'a time': ({ pathCache }) => pathCache.deleteExpired({ now: CANARY as never }),
}

export function secrecy({ run, inTransaction }: Setting): void {
  test.each(Object.entries(REFUSED))('%s that is refused does not appear in the error', (what, act) =>
    run(async (stage) => {
      const error = await expectCode(act(stage), 'VALIDATION')
      expect(error.issues.length).toBeGreaterThan(0)
      // The name of a property may appear; what it holds may not.
      const shown = what === 'bundles' ? everythingOf(error).replaceAll(`bundle.${CANARY}`, '') : everythingOf(error)
      expect(shown).not.toContain(CANARY)
    }),
  )

  test('an error about a row names its id, and nothing else of it', () =>
    run(async ({ nodes, policies }) => {
      await nodes.create(node('the-id', { interfaces: [CANARY] }))
      await policies.create(policy('the-id', `a: ${CANARY}\n`))
      const errors = [
        await expectCode(nodes.create(node('the-id', { protocols: [CANARY] })), 'ALREADY_EXISTS'),
        await expectCode(nodes.update('the-id', { protocols: [CANARY] }, { ifUpdatedAt: new Date(0) }), 'CONFLICT'),
        await expectCode(policies.create(policy('the-id', CANARY)), 'ALREADY_EXISTS'),
        await expectCode(policies.update('the-id', { yamlContent: CANARY }, { ifUpdatedAt: new Date(0) }), 'CONFLICT'),
      ]
      for (const error of errors) {
        expect(error.message).toContain('"the-id"')
        expect(everythingOf(error)).not.toContain(CANARY)
      }
    }))

  test('what a trigger of another program says does not appear', () =>
    run(
      async ({ nodes, transaction }) => {
        const row = node('a', { interfaces: [CANARY] })
        // Some databases end a transaction that is refused anything outside of a savepoint.
        const attempt = inTransaction ? transaction((tx) => tx.nodes.create(row)) : nodes.create(row)
        expect(everythingOf(await expectCode(attempt, 'CONFLICT'))).not.toContain(CANARY)
        expect(await nodes.count()).toBe(0)
      },
      {
        before: ({ other }) => other.refuseRows('nodes', CANARY),
      },
    ))
}
