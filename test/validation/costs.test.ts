/**
 * What a text or a bundle costs to check grows with its size, and not with the square of it: within 1 MiB nobody can keep
 * the process busy for minutes. Ratios within one run, no times: sixteen times as much may take 40 times as long.
 */
import { expect, test } from 'vitest'
import { sqliteMemory } from '../support/backends.ts'
import { bundle, pathKey, policy } from '../support/samples.ts'

const TIMES = 16

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('')

const TEXTS: Readonly<Record<string, (count: number) => string>> = {
  'the keys of a map': (count) => lines(count, (index) => `k${index}: 1\n`),
  'the items of a list': (count) => lines(count, (index) => `- ${index}\n`),
  documents: (count) => lines(count, (index) => `--- ${index}\n`),
  'anchors and their aliases': (count) => lines(count / 2, (index) => `- &a${index} x\n- *a${index}\n`),
  'aliases of one anchor': (count) => `- &a x\n${lines(count / 4, () => '- *a\n')}`,
  problems: (count) => lines(count, () => '}\n'),
  'lines of one text': (count) => `a: |\n${lines(count, (index) => ` ${index}\n`)}`,
}

/** The quickest of three, in milliseconds. */
async function quickest(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let time = 0; time < 3; time++) {
    const begun = performance.now()
    await work().catch(() => {})
    times.push(performance.now() - begun)
  }
  return Math.min(...times)
}

test.each(Object.entries(TEXTS))('%s', async (_, textOf) => {
  await using opened = await sqliteMemory.open()
  const { policies } = opened.store
  const small = textOf(1_000)
  const large = textOf(1_000 * TIMES)
  await quickest(() => policies.save(policy('a', small)))
  const least = await quickest(() => policies.save(policy('a', small)))
  expect((await quickest(() => policies.save(policy('a', large)))) / least).toBeLessThan(2.5 * TIMES)
})

test.each<[string, (count: number) => unknown]>([
  [
    'the members of an object in a bundle',
    (count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1])),
  ],
  ['the items of a list in a bundle', (count) => Array.from({ length: count }, (_, index) => ({ a: index }))],
])('%s', async (_, extraOf) => {
  await using opened = await sqliteMemory.open()
  const { pathCache } = opened.store
  const set = (count: number) => {
    const given = { ...bundle('a', 'b'), extra: extraOf(count) }
    return () => pathCache.set(pathKey('a', 'b'), given)
  }
  const [small, large] = [set(2_000), set(2_000 * TIMES)]
  await quickest(small)
  const least = await quickest(small)
  expect((await quickest(large)) / least).toBeLessThan(2.5 * TIMES)
})
