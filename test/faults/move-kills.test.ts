/** A copy that is stopped, by its caller or by `kill -9`, has happened or has not. Own tables go along. */
import { hash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { copyDatabase, openStorage, restoreBackup } from '../../src/index.ts'
import { until } from '../move/support/copier.ts'
import { counts, directions, filled, type Kind, kinds, ownHash, type Place, sqlite } from '../move/support/places.ts'
import { forPostgres, plain } from '../move/support/rows.ts'
import { Script } from '../sqlite/support/script.ts'
import { bound, SEED } from '../support/bounds.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { addOwnRows, addOwnTables, ownContent } from '../support/own-tables.ts'
import { commitByHalves, planted } from './commit-by-halves.ts'
import { integerFrom, randomFrom } from './random.ts'
import { shows } from './shown.ts'

const KILLS = bound('COPY_KILLS', { short: 8, long: 120 })
const ROWS = 700
const KINDS = ['checking', 'copying', 'comparing', 'committing', 'at random']
const ALL = { nodes: ROWS, policies: ROWS, path_cache: ROWS }
const NONE = { nodes: 0, policies: 0, path_cache: 0 }
/** Rows of own tables refer to them. */
const NODES = Array.from({ length: 200 }, (_, n) => `n-${n}`)
const COPIER = new URL('../move/programs/copier.ts', import.meta.url)
const script = await Script.bundle(COPIER)
const hastyScript = await Script.bundle(COPIER, commitByHalves)

/** The content of the two databases, beside each other. */
interface Content {
  readonly title: string
  readonly source: (kind: Kind, rows: Parameters<typeof filled>[1]) => Promise<Place>
  readonly target: (kind: Kind) => Promise<Place>
  readonly hashOf: (place: Place) => Promise<string>
}
const ours: Content = {
  title: 'our tables, into a new database',
  source: async (kind, rows) => filled(await kind.open(), rows),
  target: (kind) => kind.open(),
  hashOf: (place) => ownHash(place),
}
const withOwn: Content = {
  title: 'with two own tables',
  source: async (kind, rows) => {
    const place = await withOwn.target(kind)
    await place.fill(rows ?? [])
    await addOwnRows(place.url, NODES)
    return place
  },
  target: async (kind) => {
    const place = await filled(await kind.open())
    await addOwnTables(place.url)
    return place
  },
  hashOf: async (place) => `${await ownHash(place)} ${hash('sha256', await ownContent(place.url))}`,
}

interface Killed {
  readonly found: { empty: number; complete: number }
  readonly stopped: Record<string, number>
  readonly wrong: string[]
}

interface Loop {
  /** Restores this backup of the source, which reports the rows that it has copied and nothing else. */
  readonly backup?: string
  readonly content: Content
  readonly source: Place
  readonly to: Kind
  readonly kills: number
  /** With so many that are wrong it ends. */
  readonly enough?: number
}

async function killCopies(
  from: Script,
  { backup, content, source, to, kills, enough = Infinity }: Loop,
): Promise<Killed> {
  const { hashOf } = content
  const [before, random] = [await hashOf(source), randomFrom(SEED)]
  const started = async () => {
    const program = from.start()
    await until(program, '@ready')
    return program
  }
  const order = backup === undefined ? { from: source.url } : { from: backup, restores: true }
  const again = (target: Place) =>
    backup === undefined ? copyDatabase(source.url, target.url) : restoreBackup(backup, target.url)
  const { steps, milliseconds } = await (async () => {
    await using target = await content.target(to)
    await using program = await started()
    const begun = performance.now()
    program.send({ ...order, to: target.url })
    const line = await until(program, '@ended')
    expect(await hashOf(target)).toBe(before)
    return { steps: JSON.parse(line.slice('@ended '.length)) as string[], milliseconds: performance.now() - begun }
  })()
  expect(new Set(steps)).toEqual(new Set(backup === undefined ? ['checking', 'copying', 'comparing'] : ['copying']))
  const stages = KINDS.filter((kind) => backup === undefined || !['checking', 'comparing'].includes(kind))

  const killed: Killed = { found: { empty: 0, complete: 0 }, stopped: {}, wrong: [] }
  for (let cycle = 0; cycle < kills && killed.wrong.length < enough; cycle++) {
    await using target = await content.target(to)
    await using program = await started()
    // At a point of each step in turn, where it stands still; when all has been compared and is being committed; and at
    // any moment.
    const kind = stages[cycle % stages.length] ?? ''
    const points = steps.flatMap((step, index) => (step === kind ? [index + 1] : []))
    const stopAt = points[integerFrom(random, 0, Math.max(0, points.length - 1))]
    const passAt = kind === 'committing' ? steps.length : undefined
    program.send({ ...order, to: target.url, stopAt, passAt })
    await until(program, kind === 'at random' ? '@begun' : '@inside')
    if (kind === 'at random') await wait(random() * milliseconds)
    if (kind === 'committing') await wait(random() * 12)
    await program.kill()
    killed.stopped[kind] = (killed.stopped[kind] ?? 0) + 1
    const next = again(target)
    const outcome = await next.then(
      () => 'empty' as const,
      async () => {
        await expectCode(next, 'CONFIG')
        return 'complete' as const
      },
    )
    killed.found[outcome]++
    if ((await hashOf(target)) !== before)
      killed.wrong.push(`${cycle}, ${kind} ${stopAt ?? ''}: ${JSON.stringify(await counts(target))}`)
  }
  return killed
}

describe.each(directions)('from $names.0 to $names.1', ({ from, to }) => {
  const rows = from === sqlite ? plain(ROWS) : forPostgres(plain(ROWS))

  test.each(['checking', 'copying', 'comparing'] as const)('a signal while %s', async (when) => {
    await using source = await filled(await from.open(), rows)
    await using target = await filled(await to.open())
    const enough = new AbortController()
    const [reason, steps] = [new Error('Enough.'), [] as string[]]
    const copying = copyDatabase(source.url, target.url, {
      signal: enough.signal,
      onProgress: ({ step }) => {
        steps.push(step)
        if (step === when) enough.abort(reason)
      },
    })
    await expect(copying).rejects.toBe(reason)
    // At once, and not when the next step begins.
    expect(steps.filter((step) => step === when)).toHaveLength(1)
    expect(steps.at(-1)).toBe(when)
    expect(await counts(target)).toEqual(NONE)
    await copyDatabase(source.url, target.url)
    expect(await counts(target)).toEqual(ALL)
  })

  test('a signal that has been given', async () => {
    await using source = await filled(await from.open())
    await using target = await filled(await to.open())
    await expect(copyDatabase(source.url, target.url, { signal: AbortSignal.abort('no') })).rejects.toBe('no')
  })

  test.each([ours, withOwn])(
    'kill -9, $title: all of it is there or nothing, and the next copy finds that out',
    {
      timeout: 600_000 + KILLS * 8_000,
    },
    async (content) => {
      await using source = await content.source(from, rows)
      const before = await content.hashOf(source)
      const { found, stopped, wrong } = await killCopies(script, { content, source, to, kills: KILLS })
      const [title, copied] = [`${from.name} to ${to.name}`, content.title]
      console.log(`kill -9, copy ${title}, ${copied}, SEED=${SEED}: ${JSON.stringify({ found, stopped })}`)
      expect(wrong).toEqual([])
      expect(Object.values(stopped).reduce((sum, each) => sum + each, 0)).toBe(KILLS)
      shows(`${title}, ${copied}: ${KILLS} kills, ${found.empty} empty, ${found.complete} complete, none by half`)
      expect(found.empty).toBeGreaterThanOrEqual(Math.floor(KILLS / KINDS.length) * 3)
      expect(await content.hashOf(source)).toBe(before)
    },
  )
})

describe.each(kinds.filter((kind) => kind !== sqlite))('into $name', (to) => {
  test('kill -9 of a restore: all of it is there or nothing, and the next restore finds that out', {
    timeout: 600_000 + KILLS * 8_000,
  }, async () => {
    using folder = temporaryFolder()
    await using source = await withOwn.source(sqlite, plain(ROWS))
    const backup = folder.file('mesh.backup')
    {
      await using store = await openStorage(source.url)
      await store.backup(backup)
    }
    const { found, stopped, wrong } = await killCopies(script, { backup, content: withOwn, source, to, kills: KILLS })
    console.log(`kill -9, restore into ${to.name}, SEED=${SEED}: ${JSON.stringify({ found, stopped })}`)
    expect(wrong).toEqual([])
    expect(found.empty).toBeGreaterThanOrEqual(Math.floor(KILLS / KINDS.length))
    shows(`into ${to.name}: ${KILLS} restores killed, ${found.empty} empty, ${found.complete} complete, none by half`)
  })
})

describe.each(kinds)('to $name', (to) => {
  test('the same test finds a copy that commits what it has written so far', {
    timeout: 600_000 + KILLS * 8_000,
  }, async () => {
    await using source = await filled(await sqlite.open(), plain(ROWS))
    const { wrong } = await killCopies(hastyScript, { content: ours, source, to, kills: 20, enough: 1 })
    expect(planted.count).toBe(2)
    expect(wrong).toHaveLength(1)
  })
})
