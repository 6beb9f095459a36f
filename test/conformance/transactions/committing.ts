/** Rules that hold for a unit of work, be it a transaction or a savepoint. */
import { expect, test } from 'vitest'
import { expectCode } from '../../support/expectations.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../../support/samples.ts'
import { type Setting, untyped } from '../../support/settings.ts'

export function committing({ run }: Setting): void {
  test('resolves with what the callback resolves with, and all of it is there', () =>
    run(async (stage) => {
      const answer = await stage.transaction(async (tx) => {
        await tx.nodes.create(node('a'))
        await tx.policies.create(policy('p'))
        await tx.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
        return 42
      })
      expect(answer).toBe(42)
      expect(await stage.nodes.count()).toBe(1)
      expect(await stage.policies.count()).toBe(1)
      expect(await stage.pathCache.count()).toBe(1)
    }))

  test('rejects with what the callback rejects with, and nothing of it happened', () =>
    run(async (stage) => {
      const kept = await stage.nodes.create(node('kept'))
      const failure = new Error('changed my mind')
      const unit = stage.transaction(async (tx) => {
        await tx.nodes.create(node('a'))
        await tx.nodes.update('kept', { started: true })
        await tx.nodes.saveMany([node('kept'), node('b')])
        await tx.nodes.recordRoutes('kept', 5)
        await tx.policies.create(policy('p'))
        await tx.pathCache.setMany([{ key: pathKey('a', 'b'), bundle: bundle('a', 'b') }])
        throw failure
      })
      await expect(unit).rejects.toBe(failure)
      expect(await stage.nodes.list()).toEqual([kept])
      expect(await stage.policies.count()).toBe(0)
      expect(await stage.pathCache.count()).toBe(0)
    }))

  test.each(['a text', undefined, null, 7])('rejects with whatever is thrown: %s', (thrown) =>
    run(async (stage) => {
      const unit = stage.transaction(async (tx) => {
        await tx.nodes.create(node('a'))
        throw thrown
      })
      await expect(
        unit.then(
          () => ['resolved'],
          (reason: unknown) => [reason],
        ),
      ).resolves.toEqual([thrown])
      expect(await stage.nodes.count()).toBe(0)
    }),
  )

  test.each(['at the end', 'before another call'])(
    'refused calls that the callback does not await fail no other call, and it commits: %s',
    (where) =>
      run(
        async (stage) => {
          const refused: Promise<unknown>[] = []
          const answer = await stage.transaction(async (tx) => {
            await tx.nodes.create(node('there'))
            const calls = [
              tx.nodes.create(node('there')),
              tx.nodes.createMany([node('new'), node('there')]),
              tx.nodes.update('missing', {}),
              tx.policies.create(policy('by a trigger')),
              tx.policies.create({ policyId: 'p', yamlContent: 'a: [' }),
            ]
            refused.push(...calls.map((call) => call.catch(({ code }) => code)))
            if (where === 'before another call') await tx.nodes.count()
            return 'committed'
          })
          expect(answer).toBe('committed')
          const codes = ['ALREADY_EXISTS', 'ALREADY_EXISTS', 'NOT_FOUND', 'CONFLICT', 'VALIDATION']
          expect(await Promise.all(refused)).toEqual(codes)
          expect((await stage.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['there'])
        },
        { before: ({ other }) => other.refuseRows('policies', 'not here') },
      ),
  )

  test('what deletes is undone as well', () =>
    run(async (stage) => {
      await stage.nodes.createMany(manyNodes(3))
      await stage.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
      const unit = stage.transaction(async (tx) => {
        expect(await tx.nodes.delete('n-0001')).toBe(true)
        expect(await tx.pathCache.clear()).toBe(1)
        expect(await tx.nodes.count()).toBe(2)
        throw new Error('undo')
      })
      await expect(unit).rejects.toThrow('undo')
      expect(await stage.nodes.count()).toBe(3)
      expect(await stage.pathCache.count()).toBe(1)
    }))

  test('sees what it wrote', () =>
    run(async (stage) => {
      await stage.transaction(async (tx) => {
        await tx.nodes.create(node('a'))
        expect((await tx.nodes.update('a', { started: true })).started).toBe(true)
        expect(await tx.nodes.count({ started: true })).toBe(1)
        expect((await tx.nodes.getMany(['a']))[0]?.started).toBe(true)
      })
    }))

  test('an error that the callback catches leaves it usable, and everything else in it', () =>
    run(async (stage) => {
      await stage.transaction(async (tx) => {
        await tx.nodes.create(node('a'))
        await expectCode(tx.nodes.create(node('a')), 'ALREADY_EXISTS')
        await expectCode(tx.nodes.createMany([node('b'), node('a')]), 'ALREADY_EXISTS')
        await expectCode(tx.nodes.update('z', {}), 'NOT_FOUND')
        await expectCode(tx.nodes.update('a', {}, { ifUpdatedAt: new Date(0) }), 'CONFLICT')
        await expectCode(tx.nodes.create(node('')), 'VALIDATION')
        await expectCode(tx.policies.create(policy('p', 'a: [')), 'VALIDATION')
        await expectCode(
          untyped(tx).pathCache.getOrCompute(pathKey('a', 'b'), () => bundle('a', 'b')),
          'MISUSE',
        )
        await tx.nodes.create(node('c'))
      })
      expect((await stage.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['a', 'c'])
    }))

  test('statements that are not waited for one by one take effect in their order', () =>
    run(async (stage) => {
      await stage.transaction(async (tx) => {
        await tx.nodes.create(node('a'))
        const saved = await Promise.all(
          Array.from({ length: 20 }, (_, turn) => tx.nodes.save(node('a', { routesDiscovered: turn }))),
        )
        expect(saved.map(({ routesDiscovered }) => routesDiscovered)).toEqual(
          Array.from({ length: 20 }, (_, turn) => turn),
        )
      })
      expect((await stage.nodes.get('a'))?.routesDiscovered).toBe(19)
    }))

  test('thousands of rows, all or none', () =>
    run(async (stage) => {
      const unit = stage.transaction(async (tx) => {
        await tx.nodes.createMany(manyNodes(1_700))
        expect(await tx.nodes.count()).toBe(1_700)
        await tx.nodes.create(node('n-1699'))
      })
      await expectCode(unit, 'ALREADY_EXISTS')
      expect(await stage.nodes.count()).toBe(0)
    }))

  test('a callback that does nothing is fine', () =>
    run(async (stage) => {
      expect(await stage.transaction(async () => {})).toBeUndefined()
    }))

  test('what is no function is refused', () =>
    run(async (stage) => {
      await expectCode(stage.transaction('work' as never), 'VALIDATION')
      await expectCode(stage.transaction(undefined as never), 'VALIDATION')
    }))

  test('a callback that throws before its first await rejects the same way', () =>
    run(async (stage) => {
      const failure = new Error('at once')
      const work = (): Promise<void> => {
        throw failure
      }
      await expect(stage.transaction(work)).rejects.toBe(failure)
      expect(await stage.nodes.count()).toBe(0)
    }))

  test('the unit is over when its callback is: later use is MISUSE', () =>
    run(async (stage) => {
      const kept = await stage.transaction(async (tx) => tx)
      await expectCode(kept.nodes.create(node('a')), 'MISUSE')
      await expectCode(kept.nodes.createMany([node('a')]), 'MISUSE')
      await expectCode(kept.nodes.get('a'), 'MISUSE')
      await expectCode(kept.policies.count(), 'MISUSE')
      await expectCode(kept.pathCache.clear(), 'MISUSE')
      await expectCode(
        kept.transaction(async () => 'reached'),
        'MISUSE',
      )
      expect(await stage.nodes.count()).toBe(0)
    }))

  test('what was begun in it and not waited for has not happened when it is over', () =>
    run(async (stage) => {
      let late: Promise<unknown> = Promise.resolve()
      await stage.transaction(async (tx) => {
        await tx.nodes.create(node('in time'))
        const held = Promise.withResolvers<void>()
        late = held.promise.then(() => tx.nodes.create(node('late')))
        late.catch(() => {})
        setImmediate(held.resolve)
      })
      await expectCode(late, 'MISUSE')
      expect((await stage.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['in time'])
    }))
}
