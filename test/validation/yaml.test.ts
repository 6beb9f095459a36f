/** Policies' texts that are made to hurt: bombs, depth, size. */
import { expect, test } from 'vitest'
import { policy } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'
import { expectNoPollution, expectNoTraces, filledStore } from './no-trace.ts'

const MIB = 1_048_576

const repeated = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('')

const flowLists = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
const flowMaps = (levels: number): string => `${'{a: '.repeat(levels)}1${'}'.repeat(levels)}`
const blockMaps = (levels: number): string => repeated(levels, (level) => `${' '.repeat(level)}a:\n`)
const blockLists = (levels: number): string => `${'- '.repeat(levels)}1\n`
const mixed = (levels: number): string => `${'[{a: '.repeat(levels / 2)}1${'}]'.repeat(levels / 2)}`

/** Each level names the one before nine times. */
const laughs = (levels: number): string =>
  repeated(
    levels,
    (level) =>
      `l${level}: &l${level} [${Array.from({ length: 9 }, () => (level === 0 ? 'ha' : `*l${level - 1}`)).join()}]\n`,
  )

const BOMBS: readonly (readonly [what: string, yaml: string])[] = [
  ['a billion laughs', laughs(10)],
  ['a billion laughs in maps', laughs(10).replaceAll('[', '{a: [').replaceAll(']', ']}')],
  ['many aliases of one large list', `a: &a [${'x,'.repeat(1_000)}]\nb: [${'*a,'.repeat(10_000)}]\n`],
  ['101 lists', flowLists(101)],
  ['101 maps', flowMaps(101)],
  ['102 of both', mixed(102)],
  ['101 lists in block style', blockLists(101)],
  ['101 maps in block style', blockMaps(101)],
  ['100,000 lists', flowLists(100_000)],
  ['a million open brackets', '['.repeat(MIB)],
  ['a million open braces', '{'.repeat(MIB)],
  ['half a million dashes', '- '.repeat(MIB / 2)],
  ['half a million question marks', '? '.repeat(MIB / 2)],
  ['a thousand levels in block style', blockMaps(1_000)],
  ['one byte more than 1 MiB', `#${'x'.repeat(MIB)}`],
  ['one byte more than 1 MiB in UTF-8', `#${'ä'.repeat(MIB / 2)}`],
  ['100 MiB', 'x'.repeat(100 * MIB)],
  ['NUL', 'a: "\0"'],
  ['half of a surrogate pair', 'a: \ud800'],
]

const WRONG_TYPES: readonly unknown[] = [undefined, null, 7, true, {}, ['a'], Buffer.from('a: 1'), Object('a: 1')]

const STORED: readonly (readonly [what: string, yaml: string])[] = [
  ['100 lists', flowLists(100)],
  ['100 maps', flowMaps(100)],
  ['100 lists in block style', blockLists(100)],
  ['100 maps in block style', blockMaps(100)],
  ['1 MiB', `#${'x'.repeat(MIB - 1)}`],
  ['1 MiB in UTF-8', `#${'ä'.repeat(MIB / 2 - 1)}x`],
  ['two aliases deep', laughs(2)],
  ['names like __proto__', '__proto__: { polluted: 1 }\nconstructor: { prototype: { polluted: 1 } }\n'],
  ['a merge key', 'a: &a { __proto__: { polluted: 1 } }\nb: { <<: *a }\n'],
  ['a tag of JavaScript', 'a: !!js/function "function () { globalThis.polluted = 1 }"\n'],
]

eachBackend("a policy's text", (backend) => {
  const filled = filledStore(backend)

  test.each(BOMBS)('%s is refused', async (_, yaml) => {
    const opened = filled()
    const { policies } = opened.store
    const refused = await expectNoTraces(opened, [
      () => policies.create(policy('new', yaml)),
      () => policies.update('a', { yamlContent: yaml }),
      () => policies.save(policy('a', yaml)),
    ])
    for (const { issues, message } of refused) {
      expect(issues[0]?.path).toBe('yamlContent')
      expect(message.length).toBeLessThan(500)
    }
  })

  test('what is no text is refused', async () => {
    const opened = filled()
    const { policies } = opened.store
    const texts = WRONG_TYPES as readonly string[]
    await expectNoTraces(opened, [
      ...texts.map((yamlContent) => () => policies.create({ policyId: 'new', yamlContent })),
      ...texts.map((yamlContent) => () => policies.save({ policyId: 'a', yamlContent })),
      ...texts.slice(1).map((yamlContent) => () => policies.update('a', { yamlContent })),
    ])
  })

  test.each(STORED)('%s is stored', async (_, yaml) => {
    await using opened = await backend.open()
    await opened.store.policies.create(policy('a', yaml))
    expect((await opened.store.policies.get('a'))?.yamlContent).toBe(yaml)
    expectNoPollution()
    expect(Object.hasOwn(globalThis, 'polluted')).toBe(false)
  })
})
