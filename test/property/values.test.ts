/** Values of all kinds: each is stored and comes back exactly, or is refused with VALIDATION. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type PathBundle, StorageError } from '../../src/index.ts'
import { sqliteFile } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { expectCode } from '../support/expectations.ts'
import { assertProperty } from '../support/properties.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300, size: 'max' }),
  fc.string({ unit: 'binary', maxLength: 300, size: 'max' }),
  // Halves of surrogate pairs, NUL, and what is special to SQL, JSON, YAML or a cache key.
  fc.string({
    unit: fc.constantFrom('\ud800', '\udc00', '\0', 'a', "'", '"', '\\', '%', ':', '\n', '\u{1f600}'),
    maxLength: 8,
  }),
)
const isId = (text: string): boolean => {
  const { length } = [...text]
  return length >= 1 && length <= 255 && text.isWellFormed() && !text.includes('\0')
}

const accepted = async (work: Promise<unknown>): Promise<boolean> => {
  try {
    await work
    return true
  } catch (error) {
    if (error instanceof StorageError && error.code === 'VALIDATION') return false
    throw error
  }
}

/** The same plain JSON: -0 is 0, and what is undefined in an object is absent. */
function isSame(read: unknown, given: unknown): boolean {
  if (typeof read !== 'object' || typeof given !== 'object' || read === null || given === null) return read === given
  if (Array.isArray(read)) {
    return (
      Array.isArray(given) && read.length === given.length && read.every((each, index) => isSame(each, given[index]))
    )
  }
  const members = (of: object) => Object.entries(of).filter(([, member]) => member !== undefined)
  const [left, right] = [members(read), new Map(members(given))]
  return (
    left.length === right.size && left.every(([name, member]) => right.has(name) && isSame(member, right.get(name)))
  )
}

eachBackend('values', (backend) => {
  test('a text is an id if it has 1–255 characters, is well-formed, and holds no NUL; then it comes back', async () => {
    await using opened = await backend.open()
    const { nodes, policies, pathCache } = opened.store
    await assertProperty(
      `ids, ${backend.name}`,
      fc.asyncProperty(anyText, async (text) => {
        const valid = isId(text)
        expect(await accepted(nodes.save(node(text)))).toBe(valid)
        expect(await accepted(nodes.save(node('a', { interfaces: ['eth0', text], protocols: [text] })))).toBe(valid)
        expect(await accepted(policies.save({ policyId: text, yamlContent: '' }))).toBe(valid)
        expect(await accepted(pathCache.set(pathKey(text, text), bundle(text, text)))).toBe(valid)
        expect(await accepted(nodes.get(text))).toBe(valid)
        if (!valid) return
        expect((await nodes.get(text))?.nodeId).toBe(text)
        expect(await nodes.get('a')).toMatchObject(
          text === 'a' ? {} : { interfaces: ['eth0', text], protocols: [text] },
        )
        expect((await policies.get(text))?.policyId).toBe(text)
        expect(await pathCache.getEntry(pathKey(text, text))).toMatchObject({
          source: text,
          bundle: bundle(text, text),
        })
        expect((await nodes.getMany([text])).map(({ nodeId }) => nodeId)).toEqual([text])
      }),
      { runs: bound('RUNS', { brief: 15, short: 150, long: 5_000 }) },
    )
  })

  test('a time comes back to the millisecond, from the first that is allowed to the last', async () => {
    await using opened = await backend.open()
    const { nodes } = opened.store
    const last = new Date('9999-12-31T23:59:59.000Z')
    const first = new Date(-last.getTime())
    const anyTime = fc.oneof(
      fc.date({ noInvalidDate: true, min: first, max: last }),
      fc.date({ noInvalidDate: true, min: new Date('1900-01-01'), max: new Date('2200-01-01') }),
      fc.constantFrom(first, last, ...[0, -0, 1, -1, 999, -999].map((each) => new Date(each))),
    )
    await assertProperty(
      `times, ${backend.name}`,
      fc.asyncProperty(anyTime, async (createdAt) => {
        await nodes.delete('a')
        await nodes.create(node('a', { createdAt }))
        expect((await nodes.get('a'))?.createdAt).toEqual(createdAt)
      }),
      { runs: bound('RUNS', { brief: 40, short: 500, long: 5_000 }) },
    )
  })

  test('JSON in a bundle comes back as it was', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    await assertProperty(
      `JSON, ${backend.name}`,
      fc.asyncProperty(fc.json({ maxDepth: 8 }), async (text) => {
        const given = { ...bundle('a', 'b'), extra: JSON.parse(text) }
        const refused = text.includes('\\u0000') || !text.isWellFormed() || /\\ud[89a-f]/i.test(text)
        const stored = await accepted(pathCache.set(pathKey('a', 'b'), given))
        expect(stored || refused).toBe(true)
        if (stored) expect(JSON.stringify(await pathCache.get(pathKey('a', 'b')))).toBe(JSON.stringify(given))
      }),
      { runs: bound('RUNS', { brief: 20, short: 200, long: 5_000 }) },
    )
  })

  test('whatever a bundle is made of, it comes back as it was or is refused', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const anything = fc.anything({
      withDate: true,
      withMap: true,
      withSet: true,
      withBigInt: true,
      withNullPrototype: true,
      withSparseArray: true,
      withTypedArray: true,
      withBoxedValues: true,
    })
    await assertProperty(
      `bundles, ${backend.name}`,
      fc.asyncProperty(anything, async (extra) => {
        const given = { ...bundle('a', 'b'), extra } as PathBundle
        if (!(await accepted(pathCache.set(pathKey('a', 'b'), given)))) return
        expect(isSame(await pathCache.get(pathKey('a', 'b')), given)).toBe(true)
      }),
      { runs: bound('RUNS', { brief: 40, short: 500, long: 5_000 }) },
    )
  })

  test('whatever is given for a node, it is stored or refused', async () => {
    await using opened = await backend.open()
    const { nodes } = opened.store
    const anyNode = fc.record(
      {
        nodeId: fc.oneof(fc.constant('a'), fc.anything()),
        interfaces: fc.oneof(fc.constant(['eth0']), fc.array(fc.anything()), fc.anything()),
        protocols: fc.oneof(fc.constant([]), fc.anything()),
        started: fc.oneof(fc.constant(true), fc.anything()),
        routesDiscovered: fc.oneof(fc.integer(), fc.double(), fc.anything()),
        createdAt: fc.oneof(fc.constant(new Date(0)), fc.anything()),
      },
      { requiredKeys: ['nodeId'] },
    )
    await assertProperty(
      `nodes of anything, ${backend.name}`,
      fc.asyncProperty(anyNode, async (given) => {
        const saved = await nodes.save(given as never).catch((error: unknown) => error)
        if (saved instanceof StorageError) expect(saved.code).toBe('VALIDATION')
        else
          expect(saved).toMatchObject({
            nodeId: given.nodeId,
            interfaces: given.interfaces,
            protocols: given.protocols,
          })
      }),
      { runs: bound('RUNS', { brief: 40, short: 500, long: 5_000 }) },
    )
  })

  test('a text is kept byte for byte as a policy, or refused', async () => {
    await using opened = await backend.open()
    const { policies } = opened.store
    const yaml = fc.oneof(
      anyText,
      fc
        .array(
          fc.constantFrom(
            'a',
            ': ',
            '- ',
            '\n',
            '  ',
            '[',
            ']',
            '{',
            '}',
            ',',
            '&a',
            '*a',
            '!t',
            '|',
            '>',
            '#',
            '"',
            "'",
            '---\n',
            '? ',
            '%',
          ),
          { maxLength: 25, size: 'max' },
        )
        .map((tokens) => tokens.join('')),
    )
    await assertProperty(
      `policies, ${backend.name}`,
      fc.asyncProperty(yaml, async (text) => {
        const stored = await accepted(policies.save({ policyId: 'a', yamlContent: text }))
        if (stored) expect((await policies.get('a'))?.yamlContent).toBe(text)
      }),
      { runs: bound('RUNS', { brief: 40, short: 500, long: 5_000 }) },
    )
  })
})

test('a time that another program wrote passes as ifUpdatedAt as it was read, and one millisecond beside it does not', async () => {
  await using opened = await sqliteFile.open()
  const { nodes } = opened.store
  const times = fc.oneof(
    fc.double({ min: -2e9, max: 8e9, noNaN: true }),
    fc.integer({ min: 0, max: 4e9 * 2 }).map((halves) => halves / 2_000),
    fc.integer({ min: 1_700_000_000_000_000, max: 1_800_000_000_000_000 }).map((micros) => micros / 1e6),
  )
  await assertProperty(
    'microseconds',
    fc.asyncProperty(times, async (updated_at) => {
      await nodes.delete('python')
      await opened.other.insert('nodes', {
        node_id: 'python',
        interfaces: '[]',
        protocols: '[]',
        created_at: 0,
        updated_at,
      })
      const read = (await nodes.get('python'))?.updatedAt ?? new Date(0)
      for (const off of [-1, 1]) {
        await expectCode(nodes.update('python', {}, { ifUpdatedAt: new Date(read.getTime() + off) }), 'CONFLICT')
      }
      const updated = await nodes.update('python', {}, { ifUpdatedAt: read })
      expect(updated.updatedAt.getTime()).toBeGreaterThan(read.getTime())
      await nodes.update('python', {}, { ifUpdatedAt: updated.updatedAt })
    }),
    { runs: bound('RUNS', { brief: 15, short: 150, long: 5_000 }) },
  )
})
