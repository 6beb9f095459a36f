/** A database that must not be opened is refused in each way of opening it, and no attempt changes it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Dialect, TreeCopy } from '../schema/tree-copy.ts'
import { TAGS } from '../support/tags.ts'
import { drizzleKitMigrate, HERE, migrate, migrateApart, migrated, opened, statusOf } from './support/commands.ts'
import { eachDialect, rowsFor, type Scratch } from './support/databases.ts'
import { ADD_NOTE, BREAK, fileOf, grown, LIMIT_K, tagOf, tagsOf, without, withSql } from './support/trees.ts'

/** 0000, add_note, limit_k, break. */
let breaking: TreeCopy
/** Without the last. */
let full: TreeCopy
/** 0000, add_note: released before limit_k. */
let early: TreeCopy
/** 0000, limit_k: a branch that never heard of add_note. */
let branch: TreeCopy
let edited: TreeCopy
let trees: TreeCopy[] = []

beforeAll(async () => {
  breaking = await grown(ADD_NOTE, LIMIT_K, BREAK)
  full = without(breaking, BREAK)
  early = without(full, LIMIT_K)
  branch = without(full, ADD_NOTE)
  edited = withSql(full, ADD_NOTE, (sql) => `${sql}-- one word more\n`)
  trees = [breaking, full, early, branch, edited]
})
afterAll(() => {
  for (const tree of trees) tree[Symbol.dispose]()
})

interface Refusal {
  readonly title: string
  readonly code: string
  readonly made: () => TreeCopy
  readonly openedBy: () => TreeCopy | typeof HERE
  /** The names in the message, and what it says to do. */
  readonly names: (dialect: Dialect) => string
  readonly advice: RegExp
}

const REFUSALS: readonly Refusal[] = [
  {
    title: 'an edited file',
    code: 'MIGRATION_EDITED',
    made: () => full,
    openedBy: () => edited,
    names: (dialect) => fileOf(dialect, tagOf(full, ADD_NOTE)),
    advice: /bring the applied file back.*new migration/,
  },
  {
    title: 'a file that is missing between those that are known',
    code: 'MIGRATION_MISSING',
    made: () => early,
    openedBy: () => branch,
    names: () => tagOf(full, ADD_NOTE),
    advice: /Use the version, or the branch, that has it/,
  },
  {
    title: 'a file that was merged late',
    code: 'MIGRATION_OUT_OF_ORDER',
    made: () => branch,
    openedBy: () => full,
    names: (dialect) => fileOf(dialect, tagOf(full, ADD_NOTE)),
    advice: /Generate it anew, so that it comes last/,
  },
  {
    title: 'a database that a newer version changed beyond the older one',
    code: 'SCHEMA_NEWER',
    made: () => breaking,
    openedBy: () => HERE,
    names: () => tagOf(breaking, BREAK),
    advice: /policies' texts are elsewhere.*Use the newer version, or restore a backup/,
  },
]

async function expectRefusal(scratch: Scratch, { code, openedBy, names, advice }: Refusal): Promise<void> {
  const before = await scratch.snapshot()
  const says = (message: string | undefined): void => {
    expect(message).toContain(names(scratch.dialect))
    expect(message).toMatch(advice)
  }
  for (const outcome of await opened(openedBy(), scratch.url, 'apply', 'check')) {
    expect(outcome).toMatchObject({ code, name: 'StorageError' })
    says('message' in outcome ? outcome.message : '')
  }
  for (const command of ['up', 'plan', 'status']) {
    const call = command === 'up' ? migrateApart : migrate
    const { code: exit, stdout, stderr } = await call(openedBy(), scratch.url, command)
    expect({ command, exit, said: stdout + stderr }).toMatchObject({ command, exit: 4 })
    says(stdout + stderr)
    expect(stdout + stderr).toContain(code)
  }
  const { problem, ...status } = await statusOf(openedBy(), scratch.url)
  expect({ problem, ...status }).toMatchObject({ code: 4, state: 'refused', problem: { code } })
  says(problem?.message)
  expect(await scratch.snapshot()).toBe(before)
}

eachDialect('migrations that must not be applied', (dialect, make) => {
  test.each(REFUSALS)('$title is refused by each way to open, which changes nothing', async (refusal) => {
    await using scratch = await make()
    await migrated(refusal.made(), scratch.url, 'up')
    await scratch.query(rowsFor(dialect))
    await expectRefusal(scratch, refusal)
    // As the negative control: who made it opens it, and who looks at nothing.
    const ledger = await scratch.ledger()
    expect(await opened(refusal.made(), scratch.url, 'check')).toEqual([{ nodes: ['check', 'gw-1', 'gw-2'] }])
    expect(await opened(refusal.openedBy(), scratch.url, 'skip')).toEqual([
      { nodes: ['check', 'gw-1', 'gw-2', 'skip'] },
    ])
    expect(await scratch.ledger()).toEqual(ledger)
  })

  test('the mark of what breaks is there when drizzle-kit applied the file, too', async () => {
    await using scratch = await make()
    await drizzleKitMigrate(breaking, scratch.url)
    await scratch.query(rowsFor(dialect))
    const [, , , newer] = REFUSALS
    if (newer === undefined) throw new Error('There is no such refusal.')
    await expectRefusal(scratch, newer)
    expect(await statusOf(breaking, scratch.url)).toMatchObject({ code: 0, state: 'current', drift: [] })
  })

  test('what drizzle-kit applied and the code does not know is refused by its name', async () => {
    await using scratch = await make()
    await drizzleKitMigrate(early, scratch.url)
    const { problem } = await statusOf(branch, scratch.url)
    const last = tagsOf(early).at(-1)
    expect(problem).toMatchObject({ code: 'MIGRATION_MISSING', message: expect.stringContaining(`${last}`) })
  })

  test('a newer database that breaks nothing is opened, read and written by older code', async () => {
    await using scratch = await make()
    await migrated(full, scratch.url, 'up')
    await scratch.query(rowsFor(dialect))
    const [before, catalog] = [await scratch.ledger(), await scratch.catalog()]
    expect(await opened(HERE, scratch.url, 'apply', 'check')).toEqual([
      { nodes: ['apply', 'gw-1', 'gw-2'] },
      { nodes: ['apply', 'check', 'gw-1', 'gw-2'] },
    ])
    const status = await statusOf(HERE, scratch.url)
    const newer = [tagOf(full, ADD_NOTE), tagOf(full, LIMIT_K)]
    expect(status).toMatchObject({ code: 0, state: 'current', pending: [], newer })
    const { stdout } = await migrate(HERE, scratch.url, 'status')
    expect(stdout).toContain(`newer version, which this one can work with:\n  ${newer.join('\n  ')}\n`)
    expect(stdout).toContain('was not found out: a newer version made them')
    expect((await migrate(HERE, scratch.url, 'up')).stdout).toBe('Nothing was pending.\n')
    expect([await scratch.ledger(), await scratch.catalog()]).toEqual([before, catalog])
    // And the newer code goes on.
    expect(await opened(full, scratch.url, 'check')).toMatchObject([{ nodes: expect.arrayContaining(['apply']) }])
  })

  test('check names what is pending, and applies nothing; skip neither', async () => {
    await using scratch = await make()
    await migrated(HERE, scratch.url, 'up')
    const before = await scratch.snapshot()
    const pending = [tagOf(full, ADD_NOTE), tagOf(full, LIMIT_K)]
    const [outcome] = await opened(full, scratch.url, 'check')
    expect(outcome).toMatchObject({
      code: 'SCHEMA_MISMATCH',
      message: expect.stringMatching(new RegExp(`pending: ${pending.join(', ')}\\. .*migrate up.*migrate: 'apply'`)),
    })
    expect(await statusOf(full, scratch.url)).toMatchObject({ code: 3, state: 'pending', pending })
    const plan = await migrate(full, scratch.url, 'plan')
    expect(plan.code).toBe(0)
    for (const tag of pending) expect(plan.stdout).toContain(`-- ${fileOf(dialect, tag)}\n`)
    expect(await scratch.snapshot()).toBe(before)
    expect(await opened(full, scratch.url, 'skip')).toEqual([{ nodes: ['skip'] }])
    expect(await scratch.ledger()).toHaveLength(TAGS.length)
  })
})
