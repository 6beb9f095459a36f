/**
 * `kill -9` of the mover, a crash of the server, giving up: at random moments, while another process writes. Gone on with, it comes to
 * the same as if nothing had happened.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { openStorage, StorageError } from '../../../src/index.ts'
import { documentOf } from '../../cli/support/command.ts'
import { integerFrom, randomFrom } from '../../faults/random.ts'
import { shows } from '../../faults/shown.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import type { Program } from '../../sqlite/support/program.ts'
import { Script } from '../../sqlite/support/script.ts'
import { bound, SEED } from '../../support/bounds.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres-server.ts'
import { isOther, judged, type Place, place } from './support/arena.ts'
import { abortBeside, moveBeside } from './support/beside.ts'
import { Commands } from './support/commands.ts'
import { asked, expectAsBefore } from './support/file.ts'
import { judge } from './support/judge.ts'
import { Writer } from './support/writer.ts'

const KILLS = bound('MOVER_KILLS', { brief: 3, short: 12, long: 100 })
const CRASHES = bound('POSTGRES_KILLS', { brief: 2, short: 5, long: 20 })
const COMMANDS = bound('MOVE_COMMAND_KILLS', { brief: 3, short: 6, long: 50 })
const ABORTS = bound('MOVE_ABORTS', { brief: 2, short: 5, long: 20 })
/** Then it is left to finish. */
const MOST_KILLS_OF_ONE_MOVE = 4
const NOTHING = { lost: [], duplicated: [], rejected: [], stale: [] }

const serving = await Script.bundle(new URL('programs/serving.ts', import.meta.url))
const mover = await Script.bundle(new URL('programs/mover.ts', import.meta.url))

/** One that is about to move. */
async function begun(where: Place): Promise<Program> {
  const program = mover.start()
  await program.line()
  program.send({ path: where.path, url: where.database.url })
  await program.line()
  return program
}

const MARKS = ['step copying', 'step following', 'step verifying', 'step switching']
/** In milliseconds behind such a mark: the steps themselves may be shorter. */
const BEHIND_MARK_MS = 40

interface Killed {
  /** The last step that it reported. */
  readonly said: string
  /** Before it was killed. */
  readonly done: boolean
}

/** Some milliseconds after it began, or after one of its steps. */
async function killed(program: Program, mark: string | undefined, afterMs: number): Promise<Killed> {
  let said = 'begun'
  const lines = (async () => {
    for (;;) {
      said = await program.line()
      if (said === mark || said === 'done') return
      if (said.startsWith('failed')) throw new Error(said)
    }
  })()
  if (mark !== undefined) await lines
  else lines.catch(() => {})
  await wait(afterMs)
  await program.kill()
  for (const line of program.rest()) said = line
  if (said.startsWith('failed')) throw new Error(said)
  return { said, done: said === 'done' }
}

const markAt = (random: () => number): string | undefined => MARKS[integerFrom(random, 0, MARKS.length - 1)]

/** How long a move takes here that nobody kills. */
async function undisturbed(): Promise<number> {
  await using where = await place()
  await using writer = new Writer(serving)
  await writer.begin(where, SEED, { follows: true })
  await using program = await begun(where)
  const since = performance.now()
  await finished(program)
  return performance.now() - since
}

async function finished(program: Program): Promise<void> {
  for (let line = ''; line !== 'done'; line = await program.line()) if (line.startsWith('failed')) throw new Error(line)
}

async function expectEmpty({ database }: Place): Promise<void> {
  for (const table of ['nodes', 'policies', 'path_cache', 'meshstore_consumers'])
    expect(await database.query(`SELECT 1 FROM ${table} LIMIT 1`)).toEqual([])
  expect(await database.query("SELECT 1 FROM meshstore_state WHERE name = 'move'")).toEqual([])
}

describePostgres('a move that is killed', () => {
  let milliseconds = 0
  beforeAll(async () => {
    milliseconds = await undisturbed()
  }, 120_000)

  test(`${KILLS} times by kill -9 of the mover`, { timeout: 600_000 + KILLS * 20_000 }, async () => {
    const random = randomFrom(SEED)
    const figures = { kills: 0, moves: 0, finishedBefore: 0, at: {} as Record<string, number>, writes: 0 }
    while (figures.kills < KILLS) {
      await using where = await place()
      await using writer = new Writer(serving)
      await writer.begin(where, SEED + figures.moves, { follows: true })
      let done = false
      for (let kills = 0; !done && kills < MOST_KILLS_OF_ONE_MOVE && figures.kills < KILLS; ) {
        await using program = await begun(where)
        // Every other one at any time at all.
        const mark = figures.kills % 2 === 0 ? undefined : markAt(random)
        const afterMs = random() * (mark === undefined ? milliseconds : BEHIND_MARK_MS)
        const { said, done: before } = await killed(program, mark, afterMs)
        done = before
        if (done) figures.finishedBefore++
        else {
          kills++
          figures.kills++
          figures.at[said] = (figures.at[said] ?? 0) + 1
        }
      }
      await using last = await begun(where)
      await finished(last)
      await writer.progress(50)
      const journal = await writer.end()
      figures.moves++
      figures.writes += journal.writes
      const { hashes, ...verdict } = await judged(where, [journal])
      expect(verdict).toEqual(NOTHING)
      expect(hashes.target).toBe(hashes.file)
      await (await openStorage(where.database.url)).close()
    }
    console.log(
      `kill -9 of the mover, SEED=${SEED}, a move takes ${milliseconds.toFixed(0)} ms: ${JSON.stringify(figures)}`,
    )
    expect(figures.kills).toBe(KILLS)
    shows(`${KILLS} kills of the mover in ${figures.moves} moves, ${figures.writes} writes: none lost, contents equal`)
  })

  test(`${ABORTS} times, and given up`, { timeout: 600_000 + ABORTS * 20_000 }, async () => {
    const random = randomFrom(SEED + 1)
    const figures = { aborted: 0, tooLate: 0, at: {} as Record<string, number> }
    while (figures.aborted < ABORTS) {
      await using where = await place()
      await using writer = new Writer(serving)
      await writer.begin(where, SEED + figures.aborted, { follows: false })
      await using program = await begun(where)
      const { said } = await killed(program, markAt(random), random() * BEHIND_MARK_MS)
      const code = await abortBeside(where.path, where.database.url).then(
        () => 'aborted' as const,
        (error) => (error.code === 'MOVED' ? ('tooLate' as const) : Promise.reject(error)),
      )
      figures[code]++
      if (code === 'tooLate') continue
      figures.at[said] = (figures.at[said] ?? 0) + 1
      await writer.progress(30)
      const journal = await writer.end()
      expect(journal.rejected).toEqual([])
      expect(await judge(asked(where.path), [journal], isOther)).toEqual({ lost: [], duplicated: [] })
      expectAsBefore(where.path)
      await expectEmpty(where)
    }
    shows(`given up ${ABORTS} times after a kill: the file as before, the target empty`)
    console.log(`given up after kill -9, SEED=${SEED}: ${JSON.stringify(figures)}`)
  })
})

describePostgres('a move whose server crashes', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })

  test(`${CRASHES} times, at random moments`, { timeout: 600_000 + CRASHES * 30_000 }, async () => {
    const random = randomFrom(SEED + 2)
    const figures = { crashes: 0, moves: 0, codes: {} as Record<string, number>, writes: 0 }
    let milliseconds = 500
    while (figures.crashes < CRASHES) {
      await using where = await place({ server: server.url('postgres') })
      await using writer = new Writer(serving)
      // It stays on the file, and is told when that has moved: what it writes does not depend on the server.
      await writer.begin(where, SEED + figures.moves, { follows: false })
      for (let done = false; !done; ) {
        const since = performance.now()
        const move = moveBeside(where.path, where.database.url).then(
          () => 'done',
          (error) => (error instanceof StorageError ? error.code : Promise.reject(error)),
        )
        const crashing =
          figures.crashes < CRASHES && (await Promise.race([move, wait(random() * milliseconds, 'wait')])) === 'wait'
        if (crashing) {
          await server.crash()
          figures.crashes++
        }
        const code = await move
        done = code === 'done' || code === 'MOVED'
        if (!crashing) milliseconds = performance.now() - since
        figures.codes[code] = (figures.codes[code] ?? 0) + 1
        expect(['done', 'MOVED', 'UNAVAILABLE', 'OUTCOME_UNKNOWN']).toContain(code)
      }
      const journal = await writer.end()
      figures.moves++
      figures.writes += journal.writes
      expect(journal.rejected.filter((each) => !/: MOVED /.test(each))).toEqual([])
      // A refused write was not made.
      const { hashes, lost, duplicated, stale } = await judged(where, [journal])
      expect({ lost, duplicated, stale }).toEqual({ lost: [], duplicated: [], stale: [] })
      expect(hashes.target).toBe(hashes.file)
    }
    console.log(`crashes of the server, SEED=${SEED}: ${JSON.stringify(figures)}`)
    expect(figures.crashes).toBe(CRASHES)
    shows(
      `${CRASHES} crashes of the server in ${figures.moves} moves, ${figures.writes} writes: none lost, contents equal`,
    )
  })
})

/** How long it takes here if nobody kills it: until it begins, and in all. */
async function undisturbedCommand(): Promise<{ beginsMs: number; milliseconds: number }> {
  await using where = await place()
  await using writer = new Writer(serving)
  await writer.begin(where, SEED, { follows: true })
  const since = performance.now()
  const commands = new Commands(where.path, where.database.url)
  await using program = commands.start()
  await commands.begun(program)
  const beginsMs = performance.now() - since
  expect(await program.ended, program.errors).toEqual({ code: 0, signal: null })
  return { beginsMs, milliseconds: performance.now() - since }
}

describePostgres('a move by the command', () => {
  test(`that is killed ${COMMANDS} times, gone on with, asked for and given up`, {
    timeout: 600_000 + COMMANDS * 30_000,
  }, async () => {
    const random = randomFrom(SEED + 3)
    const figures = { kills: 0, moves: 0, aborted: 0, found: {} as Record<string, number>, writes: 0 }
    const { beginsMs, milliseconds } = await undisturbedCommand()
    while (figures.kills < COMMANDS || figures.aborted === 0) {
      await using where = await place()
      await using writer = new Writer(serving)
      await writer.begin(where, SEED + figures.moves, { follows: true })
      const commands = new Commands(where.path, where.database.url)
      let state = await commands.state()
      expect(state).toBe('none')
      for (let kills = 0; kills < MOST_KILLS_OF_ONE_MOVE && state !== 'moved'; kills++) {
        await using program = commands.start(...(state === 'none' ? [] : ['--resume']))
        // At any time at all; when it has looked at everything; when the file knows of it.
        const turn = figures.kills % 3
        if (turn === 1) await commands.begun(program)
        if (turn === 2) await commands.underWay(program)
        await wait(random() * (turn === 0 ? milliseconds : milliseconds - beginsMs))
        const { code, signal } = await program.kill()
        expect(signal ?? code, program.errors).toBeOneOf(['SIGKILL', 0])
        if (signal !== null) figures.kills++
        state = await commands.state()
        const said = String(state)
        figures.found[said] = (figures.found[said] ?? 0) + 1
        if (code === 0) expect(state).toBe('moved')
        // Every second one is given up.
        if (state !== 'under way' || (figures.found[said] ?? 0) % 2 === 1) continue
        expect(documentOf(await commands.run('--abort'))).toMatchObject({ emptied: true })
        figures.aborted++
        expectAsBefore(where.path)
        await expectEmpty(where)
        // The judge would take the command that emptied the target for another program.
        await where.database.query('DELETE FROM noted')
        state = await commands.state()
        expect(state).toBe('none')
      }
      if (state !== 'moved') {
        const finished = await commands.run('--yes', ...(state === 'none' ? [] : ['--resume']))
        expect(finished.code, finished.stderr).toBe(0)
      }
      // It may have been killed when it had switched, and had not said so: this says it.
      expect(documentOf(await commands.run('--yes', '--resume'))).toMatchObject({ state: 'moved' })
      expect(documentOf(await commands.run('--status'))).toMatchObject({ state: 'moved', phase: 'done' })
      expect(documentOf(await commands.run('--abort'))).toMatchObject({ error: { code: 'MOVED' } })
      await writer.progress(50)
      const journal = await writer.end()
      figures.moves++
      figures.writes += journal.writes
      const { hashes, ...verdict } = await judged(where, [journal])
      expect(verdict).toEqual(NOTHING)
      expect(hashes.target).toBe(hashes.file)
    }
    console.log(
      `kill -9 of meshstore move, SEED=${SEED}, it takes ${milliseconds.toFixed(0)} ms: ${JSON.stringify(figures)}`,
    )
    shows(
      `${figures.kills} kills of the command in ${figures.moves} moves, ${figures.aborted} given up, ${figures.writes} writes: none lost, contents equal`,
    )
  })
})
