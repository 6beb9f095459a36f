/**
 * The time to check a text or a bundle grows with its size, and not with its square: each of these is close to 1 MiB,
 * and would otherwise keep a process busy for minutes. A case passes if it ends at all, and with the right outcome.
 */
import { expect, test } from 'vitest'
import { sqliteMemory } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { bundle, pathKey } from '../support/samples.ts'

const BYTES = 1_000_000

/** As many lines as there is room for. */
function lines(line: (index: number) => string): string {
  let text = ''
  for (let index = 0; text.length < BYTES; index++) text += line(index)
  return text
}

const STORED: Readonly<Record<string, string>> = {
  'the keys of a map': lines((index) => `k${index}: 1\n`),
  'the items of a list': lines((index) => `- ${index}\n`),
  documents: lines((index) => `--- ${index}\n`),
  'lines of one text': `a: |\n${lines((index) => ` ${index}\n`)}`,
}
const REFUSED: Readonly<Record<string, string>> = {
  'anchors and their aliases': lines((index) => `- &a${index} x\n- *a${index}\n`),
  'aliases of one anchor': `- &a x\n${lines(() => '- *a\n')}`,
  'keys that are there twice': lines((index) => `k${index % 50_000}: 1\n`),
  problems: lines(() => '}\n'),
}

test.each(Object.entries(STORED))('%s are checked and stored', async (_, yamlContent) => {
  await using opened = await sqliteMemory.open()
  const { policies } = opened.store
  await policies.save({ policyId: 'a', yamlContent })
  expect((await policies.get('a'))?.yamlContent).toBe(yamlContent)
})

test.each(Object.entries(REFUSED))('%s are refused', async (_, yamlContent) => {
  await using opened = await sqliteMemory.open()
  const { policies } = opened.store
  const { issues } = await expectCode(policies.save({ policyId: 'a', yamlContent }), 'VALIDATION')
  expect(issues.length).toBeLessThan(1_000)
})

test.each<[string, unknown]>([
  [
    'the members of an object in a bundle',
    Object.fromEntries(Array.from({ length: 60_000 }, (_, index) => [`k${index}`, 1])),
  ],
  ['the items of a list in a bundle', Array.from({ length: 60_000 }, (_, index) => ({ a: index }))],
])('%s are checked and stored', async (_, extra) => {
  await using opened = await sqliteMemory.open()
  const { pathCache } = opened.store
  const given = { ...bundle('a', 'b'), extra }
  await pathCache.set(pathKey('a', 'b'), given)
  expect(await pathCache.get(pathKey('a', 'b'))).toEqual(given)
})
