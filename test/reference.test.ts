/** The tables of docs/reference/ against the code: error codes, exit codes, and limits that no other test takes to their edges. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EXIT, EXIT_HELP } from '../src/cli/exit-codes.ts'
import { docsOf } from '../src/errors.ts'
import { StorageError, type StorageErrorCode } from '../src/index.ts'
import { configOf } from '../src/open/config.ts'
import { expectCode, expectRefused } from './support/expectations.ts'
import { messages } from './support/messages.ts'
import { bundle, node, pathKey } from './support/samples.ts'
import { eachBackend } from './support/settings.ts'

const rowsOf = (page: string): string[][] =>
  readFileSync(join(import.meta.dirname, `../docs/reference/${page}.md`), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )

/** The compiler sees to it that none is missing. */
const CODES: Readonly<Record<StorageErrorCode, true>> = {
  VALIDATION: true,
  ALREADY_EXISTS: true,
  NOT_FOUND: true,
  CONFLICT: true,
  BUSY: true,
  TIMEOUT: true,
  CLOSED: true,
  MISUSE: true,
  READ_ONLY: true,
  UNAVAILABLE: true,
  OUTCOME_UNKNOWN: true,
  STORAGE_FULL: true,
  CORRUPT: true,
  SCHEMA_MISMATCH: true,
  SCHEMA_NEWER: true,
  MIGRATION_EDITED: true,
  MIGRATION_MISSING: true,
  MIGRATION_OUT_OF_ORDER: true,
  BACKUP_INVALID: true,
  CHANGES_MISSED: true,
  MOVED: true,
  CONFIG: true,
}

test('the table of errors has each code once, and says yes where it is retryable', () => {
  const documented = rowsOf('errors').flatMap(([codes = '', , , retry = '']) =>
    [...codes.matchAll(/`([A-Z_]+)`/g)].map(([, code = '']) => ({ code, retryable: retry.startsWith('yes') })),
  )
  const codes = Object.keys(CODES) as StorageErrorCode[]
  const actual = codes.map((code) => ({ code, retryable: new StorageError(code, '').retryable }))
  const byCode = (a: { code: string }, b: { code: string }): number => (a.code < b.code ? -1 : 1)
  expect(documented.toSorted(byCode)).toEqual(actual.toSorted(byCode))
})

test('each code has a section: what happened, what it means for the data, whether to retry, and what to do', () => {
  const page = readFileSync(join(import.meta.dirname, '../docs/reference/errors.md'), 'utf8')
  const codes = [...(Object.keys(CODES) as StorageErrorCode[]), 'USAGE', 'INTERRUPTED', 'INTERNAL'] as const
  const sections = page.split(/^## /m).slice(1)
  expect(sections.map((section) => section.split('\n')[0]).toSorted()).toEqual(codes.toSorted())
  for (const section of sections) {
    expect(section).toMatch(/^\w+\n\n[^-].*\n- \*\*The data\*\*: .*\n- \*\*Retry\*\*: .*\n- \*\*To do\*\*: .*\n/s)
  }
  for (const code of codes) expect(docsOf(code)).toBe(`docs/reference/errors.md#${code.toLowerCase()}`)
  expect(new StorageError('OUTCOME_UNKNOWN', '').docs).toBe('docs/reference/errors.md#outcome_unknown')
})

/** Begins a sentence, or a part of one. A part that is known only when it runs may be the action. */
const ACTION = new RegExp(
  `(?:^|[.:;?] |, (?:or |then |and )?|\\b(?:or|then) )(?:…|it …|(?:${[
    'abort|await|call|change|check|choose|close|compute|connect|convert|copy|correct|create|delete|drop|enable|finish|free',
    'generate|give|go on|install|keep|leave|look|lower|make|move|name|open|percent-encode|raise|read|remove|repair|restore',
    'run|set|shorten|split|stop|store|subscribe|try|use|wait|write',
  ].join('|')})\\b)`,
  'i',
)
const FOR_THE_DATA =
  /\b(nothing|rolled back|may or may not|not written|not complete|(is|are) (complete|whole)|(was|were) saved|cannot be read|could not be saved|no backup was made|have kept|must not be (used|restored))\b/i

test('each message of the source says what to do, and those of failures what it means for the data', () => {
  const all = messages()
  // So many are there: a way of making an error that the collector does not know would leave them out.
  expect(all.length).toBeGreaterThan(250)
  expect(new Set(all.map(({ code }) => code)).size).toBeGreaterThan(20)
  expect(all.filter(({ text }) => !ACTION.test(text))).toEqual([])
  const failures = all.filter(({ code }) => code !== undefined && code !== 'CONFIG' && code !== 'MISUSE')
  expect(failures.filter(({ text }) => !FOR_THE_DATA.test(text) && !text.startsWith('The target: '))).toEqual([])
})

test('notices a message without an action', () => {
  for (const text of ['The file is damaged.', 'The disk is full. Nothing was written.'])
    expect(text).not.toMatch(ACTION)
  for (const text of ['It is damaged. Restore a backup.', 'Make room, then go on.']) expect(text).toMatch(ACTION)
  expect('There is a node "a" already. Use save().').not.toMatch(FOR_THE_DATA)
})

test('the table of exit codes has each code, as the help has', () => {
  const documented = rowsOf('command-line').flatMap(([code = '']) => (/^\d+$/.test(code) ? [Number(code)] : []))
  expect(documented).toEqual(Object.values(EXIT))
  expect([...EXIT_HELP.matchAll(/^ {2}(\d)/gm)].map(([, code]) => Number(code))).toEqual(documented)
})

test('the defaults are those of the documents', () => {
  const documented = {
    migrate: 'apply',
    durability: 'full',
    readOnly: false,
    busyTimeoutMs: 5_000,
    maxPendingWrites: 100_000,
    walLimitBytes: 1_073_741_824,
    walLimitSeconds: 300,
  }
  expect(configOf('sqlite::memory:')).toMatchObject(documented)
  expect(configOf('postgres://mesh@localhost/mesh')).toMatchObject({
    ...documented,
    pool: { max: 10 },
    target: { connectMs: 5_000, statementMs: 29_000, poolMode: 'session' },
  })
})

eachBackend('limits', (backend) => {
  test('a document has at most 1,000 anchors and aliases, counted together, and 99 aliases of one anchor', async () => {
    await using opened = await backend.open()
    const { policies } = opened.store
    const aliases = (count: number): string => `- &a x\n${'- *a\n'.repeat(count)}`
    const pairs = (count: number): string =>
      Array.from({ length: count }, (_, index) => `- &a${index} x\n- *a${index}\n`).join('')
    await policies.create({ policyId: 'pairs', yamlContent: pairs(500) })
    await policies.create({ policyId: 'documents', yamlContent: `${pairs(500)}---\n${pairs(500)}` })
    await policies.create({ policyId: 'aliases', yamlContent: aliases(99) })
    for (const yamlContent of [pairs(501), `${pairs(500)}- &more x\n`, aliases(100)]) {
      await expectRefused(policies.create({ policyId: 'more', yamlContent }), 'yamlContent')
    }
    expect(await policies.count()).toBe(3)
  })

  test('a time to live is above 0, up to 100 years', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const set = (ttlSeconds: number): Promise<unknown> =>
      pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds })
    const century = 100 * 365.25 * 86_400
    for (const ttlSeconds of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, century * 1.01]) {
      await expectCode(set(ttlSeconds), 'VALIDATION')
    }
    expect(await pathCache.count()).toBe(0)
    await set(century * 0.99)
    await set(0.001)
  })

  test('callers that joined one computation get the same object', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const compute = (): Promise<ReturnType<typeof bundle>> => Promise.resolve(bundle('a', 'b'))
    const found = await Promise.all(
      Array.from({ length: 10 }, () => pathCache.getOrCompute(pathKey('a', 'b'), compute)),
    )
    expect(new Set(found).size).toBe(1)
  })

  test('calls of one row take effect in their order: singly, in bulk and in a transaction', async () => {
    await using opened = await backend.open()
    const { store } = opened
    for (let round = 0; round < 10; round++) {
      const many = [node('a', { protocols: ['bulk'] }), ...Array.from({ length: 20 }, (_, index) => node(`b-${index}`))]
      await Promise.all([
        store.nodes.save(node('a', { protocols: ['first'] })),
        store.nodes.saveMany(many),
        store.transaction((tx) => tx.nodes.update('a', { started: true })),
      ])
      expect(await store.nodes.get('a')).toMatchObject({ protocols: ['bulk'], started: true })
      await Promise.all([
        store.nodes.delete('a'),
        store.nodes.createMany(many.slice(0, 1)),
        store.nodes.update('a', { protocols: ['last'] }),
      ])
      expect(await store.nodes.get('a')).toMatchObject({ protocols: ['last'] })
    }
  })

  test('one that is refused among calls that are not awaited fails alone', async () => {
    await using opened = await backend.open()
    const { nodes } = opened.store
    const outcomes = await Promise.allSettled([
      nodes.create(node('a')),
      nodes.create(node('a')),
      nodes.createMany([node('b'), node('a')]),
      nodes.update('nobody', { started: true }),
      nodes.saveMany([node('c'), node('d')]),
      nodes.delete('c'),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    expect((await nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['a', 'd'])
  })
})
