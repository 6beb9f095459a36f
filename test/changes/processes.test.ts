/** Two processes write, and one in a third hears of it, however often it is killed. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { integerFrom, randomFrom } from '../faults/random.ts'
import { shows } from '../faults/shown.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import type { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { type LastingStore, lastingBackends, postgres, sqliteFile } from '../support/backends.ts'
import { bound, SEED } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { judged, type Verdict } from './support/judge.ts'
import { logOf } from './support/log.ts'

const WRITES = bound('CHANGES_WRITES', { brief: 4_000, short: 50_000, long: 500_000 })
const KILLS = bound('CHANGES_KILLS', { brief: 6, short: 20, long: 100 })
const WRITERS = 2
const LAST = 'the-last'
const ENOUGH_MS = 300_000 + WRITES * 20

const READER = new URL('programs/subscriber.ts', import.meta.url)
const writer = await Script.bundle(new URL('programs/writer.ts', import.meta.url))
const subscriber = await Script.bundle(READER)

const planted = { count: 0 }
/** Plants a mistake into how PostgreSQL's log is read. */
const wrong = (...mistakes: readonly (readonly [right: string, wrong: string])[]): Promise<Script> =>
  Script.bundle(READER, {
    name: 'wrong',
    transform(code, id) {
      if (!id.endsWith('/src/database/postgres/change-log-statements.ts')) return
      planted.count++
      return mistakes.reduce((text, [from, to]) => {
        if (text.split(from).length !== 2) throw new Error('There is no place to plant the mistake in.')
        return text.replace(from, to)
      }, code)
    },
  })
/** Takes what began last for what was committed last. */
const forgetsTheOpen = await wrong(
  ['ARRAY(SELECT pg_snapshot_xip($1::pg_snapshot))', "'{}'::xid8[]"],
  ['NOT pg_visible_in_snapshot(transaction, $1::pg_snapshot)', 'transaction >= pg_snapshot_xmax($1::pg_snapshot)'],
)
/** Takes the order of the transactions' ids for that of their changes. */
const sortsByIds = await wrong(['  ORDER BY seq LIMIT $4', '  ORDER BY transaction, seq LIMIT $4'])

/** Every change that a writer says is committed. */
async function acknowledged(program: Program): Promise<string[]> {
  const words: string[] = []
  for (;;) {
    const line = await program.line()
    if (line === '@done') return words
    words.push(...JSON.parse(line))
  }
}

const linesOf = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1)

interface Run {
  readonly verdict: Verdict
  /** Killed while others wrote. */
  readonly kills: number
  readonly seconds: number
}

async function run(opened: LastingStore, { script = subscriber, writes = WRITES, kills = KILLS } = {}): Promise<Run> {
  using folder = temporaryFolder()
  const [file, random] = [folder.file('seen'), randomFrom(SEED)]
  const start = async (life: number): Promise<Program> => {
    const reader = script.start([opened.url, file, life % 2 === 0 ? '1' : '64'])
    expect(await reader.line()).toBe('@ready')
    return reader
  }
  let reader = await start(0)
  const begun = performance.now()
  let isWriting = true
  const writers = Array.from({ length: WRITERS }, (_, number) =>
    writer.start([opened.url, `w${number}`, String(Math.ceil(writes / WRITERS))]),
  )
  try {
    const writing = Promise.all(writers.map(acknowledged)).finally(() => {
      isWriting = false
    })
    let killed = 0
    for (let kill = 0; kill < kills; kill++) {
      const enough = linesOf(file).length + integerFrom(random, 1, Math.ceil(writes / kills / 2))
      await eventually('it has read so many', () => !isWriting || linesOf(file).length >= enough, ENOUGH_MS)
      if (!isWriting) break
      await reader.kill()
      killed++
      reader = await start(kill + 1)
    }
    const committed = (await writing).flat()
    await opened.store.nodes.create(node(LAST))
    expect(await reader.line()).toBe('@done')
    const seconds = (performance.now() - begun) / 1_000
    const seen = linesOf(file).map((line) => line.split('\t')[1] ?? '')
    // The first is ready(), the last the one that ends it.
    return { verdict: judged(seen.slice(1, -1), committed, { shared: 'shared' }), kills: killed, seconds }
  } finally {
    for (const each of [...writers, reader]) await each.kill()
  }
}

for (const backend of lastingBackends) {
  test(`${backend.name}: none is missing, none is more, and each row's are in order`, {
    timeout: ENOUGH_MS,
  }, async () => {
    await using opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    const { verdict, kills, seconds } = await run(opened)
    console.log(`${backend.name}, seed ${SEED}, in ${seconds.toFixed(1)} s: ${JSON.stringify(verdict)}`)
    shows(`${backend.name}: ${verdict.committed} changes heard of, and the subscriber killed ${kills} times`)
    expect(verdict).toMatchObject({ missing: 0, extra: 0, disordered: 0, seen: verdict.committed })
    expect(verdict.committed).toBeGreaterThanOrEqual(WRITES)
    expect(kills).toBeGreaterThan(0)
  })
}

for (const backend of lastingBackends) {
  test(`${backend.name}: the log ends when the only subscriber was killed, by any store that is open`, async () => {
    using folder = temporaryFolder()
    await using opened = await backend.open({ pathCache: { invalidation: 'manual', sweepSeconds: 0.1 } })
    await using reader = subscriber.start([opened.url, folder.file('seen'), '1', '1'])
    expect(await reader.line()).toBe('@ready')
    await opened.store.nodes.createMany([node('a'), node('b')])
    expect(await logOf(opened)).toMatchObject({ isOn: true, consumers: 1 })
    await reader.kill()
    await eventually('the log is off and empty', async () => {
      const { isOn, changes } = await logOf(opened)
      return !isOn && changes === 0
    })
    await opened.store.nodes.create(node('c'))
    expect(await logOf(opened)).toEqual({ isOn: false, consumers: 0, changes: 0 })
  })
}

describePostgres('without what it takes on PostgreSQL', () => {
  /** The digest of the changes that were read finds a mistake, unless the subscriber has ended before it is compared. */
  const cameOf = async (script: Script, wrong: (verdict: Verdict) => number): Promise<string> => {
    await using opened = await postgres.open({ pathCache: { invalidation: 'manual' } })
    return await run(opened, { script, writes: 2_000, kills: 0 }).then(
      ({ verdict }) => `${wrong(verdict) > 0 ? 'wrong' : 'right'}: ${JSON.stringify(verdict)}`,
      String,
    )
  }

  test('transactions that are committed late are missed', { timeout: ENOUGH_MS }, async () => {
    const came = await cameOf(forgetsTheOpen, ({ missing }) => missing)
    console.log(`Without those that were open: ${came}`)
    expect(planted.count).toBe(2)
    expect(came).toMatch(/^wrong|CHANGES_MISSED/)
  })

  test('a row’s changes come in another order', { timeout: ENOUGH_MS }, async () => {
    const came = await cameOf(sortsByIds, ({ disordered }) => disordered)
    console.log(`By ids: ${came}`)
    expect(came).toMatch(/^wrong|CHANGES_MISSED/)
  })
})

test('without a trigger on SQLite, changes are missed', { timeout: ENOUGH_MS }, async () => {
  await using opened = await sqliteFile.open({ pathCache: { invalidation: 'manual' } })
  await opened.other.execute('DROP TRIGGER nodes_log_delete')
  const { verdict } = await run(opened, { writes: 500, kills: 0 })
  console.log(`Without a trigger: ${JSON.stringify(verdict)}`)
  expect(verdict).toMatchObject({ extra: 0 })
  expect(verdict.missing).toBeGreaterThan(0)
})
