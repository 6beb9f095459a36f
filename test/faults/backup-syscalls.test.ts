/**
 * `kill -9` at every write, sync, link, rename and removal of a restore and of a backup, one after the other: the database is
 * all old or all new, and the next run cleans up.
 */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStorage, verifyBackup } from '../../src/index.ts'
import { copyOver } from '../backup/support/copy-over.ts'
import { contentOf, database, manifestOf, namesIn, SAFETY_COPY } from '../backup/support/files.ts'
import { hasStrace, killedAt, type Point, pointsOf } from '../backup/support/syscalls.ts'
import { Script } from '../sqlite/support/script.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { nameAtOnce, planted } from './name-at-once.ts'
import { notTested, shows } from './shown.ts'

const runs = hasStrace()
if (!runs) notTested('kill -9 at every system call of a restore and a backup', 'There is no strace here.')
const TIMEOUT = { timeout: 1_200_000 }

const program = new URL('../backup/programs/once.ts', import.meta.url)
const script = await Script.bundle(program)
const hasty = await Script.bundle(program, copyOver)
const early = await Script.bundle(program, nameAtOnce)
const templates = temporaryFolder()
afterAll(() => templates[Symbol.dispose]())
const file = templates.file('mesh.backup')
const DAMAGED = 'no database '.repeat(1_000)
let [old, restored] = ['', '']
beforeAll(async () => {
  old = contentOf(await database(templates.file('over', 'mesh.db'), 30, 'old'))
  await database(templates.file('source', 'mesh.db'), 40, 'new')
  const store = await openStorage(templates.file('source', 'mesh.db'))
  await store.backup(file)
  await store.close()
  restored = contentOf(file)
  for (const name of ['vacant', 'damaged', 'damaged-with-log']) mkdirSync(templates.file(name))
  for (const name of ['damaged/mesh.db', 'damaged-with-log/mesh.db', 'damaged-with-log/mesh.db-wal'])
    writeFileSync(templates.file(name), DAMAGED)
})

interface Case {
  readonly template: string
  readonly what: 'restore' | 'backup'
  /** Says what is there, and what is wrong with it. Called again when the next run has ended. */
  readonly judge: (path: string, ended: boolean) => { found: string; wrong?: string | undefined }
}

const run = (program: string, args: readonly string[]): Promise<number | null> =>
  new Promise((resolve) => spawn(program, args, { stdio: 'ignore' }).on('close', resolve))

const textIn = (path: string): string => (existsSync(path) ? readFileSync(path, 'latin1') : '')

function contentIn(path: string): string {
  try {
    return contentOf(path)
  } catch (error) {
    return `unreadable: ${error}`
  }
}

/** Everything beside the database is a copy of what was there, or of what was restored, each with its manifest. */
function besideOf(path: string, possible: readonly string[], needed: readonly string[] = []): string | undefined {
  const copies = namesIn(dirname(path)).filter((name) => SAFETY_COPY.test(name))
  const expected = ['mesh.db', ...copies.flatMap((name) => [name, manifestOf(name)])]
  const contents = copies.map((name) => contentIn(join(dirname(path), name)))
  if (namesIn(dirname(path)).join() !== expected.join()) return `there are ${namesIn(dirname(path))}`
  if (!needed.every((content) => contents.includes(content))) return 'what was there is lost'
  if (new Set(contents).size < contents.length) return `two copies are alike: ${contents}`
  return contents.every((content) => possible.includes(content)) ? undefined : `a copy is ${contents}`
}

function judgeOver(path: string, ended: boolean): { found: string; wrong?: string | undefined } {
  const content = contentIn(path)
  const found = { [old]: 'old', [restored]: 'new' }[content] ?? content
  if (ended) return { found, wrong: found === 'new' ? besideOf(path, [old, restored], [old]) : 'it is not new' }
  return { found, wrong: found === content ? 'it is neither old nor new' : undefined }
}

function judgeVacant(path: string, ended: boolean): { found: string; wrong?: string | undefined } {
  const found = !existsSync(path) ? 'nothing' : contentIn(path) === restored ? 'new' : 'neither'
  // A run that was killed after its last step had written the file: the next one replaced it once more, and kept it.
  if (ended) return { found, wrong: found === 'new' ? besideOf(path, [restored]) : 'it is not new' }
  return { found, wrong: found === 'neither' ? 'it is not whole' : undefined }
}

/** A file that SQLite cannot read is moved: for a moment nothing is there. */
function judgeDamaged(path: string, ended: boolean): { found: string; wrong?: string | undefined } {
  const folder = dirname(path)
  const copies = namesIn(folder).filter((name) => SAFETY_COPY.test(name))
  const moved = copies.filter((name) => textIn(join(folder, name)) === DAMAGED)
  const isOld = textIn(path) === DAMAGED
  const found = isOld ? 'old' : !existsSync(path) ? 'moved' : contentIn(path) === restored ? 'new' : 'neither'
  if (!ended)
    return { found, wrong: found === 'neither' || isOld === (moved.length === 1) ? `it is ${found}` : undefined }
  // SQLite may have removed the part of the log that it could not read. The rest lies beside its file.
  const names = namesIn(folder).filter((name) => name !== `${moved[0]}-wal`)
  const others = copies.filter((name) => !moved.includes(name))
  const expected = ['mesh.db', ...moved, ...others.flatMap((name) => [name, manifestOf(name)])]
  const whole = others.every((name) => contentIn(join(folder, name)) === restored)
  const right = found === 'new' && moved.length === 1 && whole && names.join() === expected.sort().join()
  return { found, wrong: right ? undefined : `there are ${namesIn(folder)}` }
}

const BACKUP = ['backup.sqlite', 'backup.sqlite.manifest.json']

function judgeBackup(path: string, ended: boolean): { found: string; wrong?: string | undefined } {
  const names = existsSync(backupIn(path)) ? namesIn(backupIn(path)) : []
  const finished = names.filter((name) => !name.includes('.partial-')).join()
  if (contentIn(path) !== old) return { found: finished, wrong: 'the database is another' }
  if (ended) return { found: finished, wrong: names.join() === BACKUP.join() ? undefined : `there are ${names}` }
  const possible = ['', BACKUP[1] ?? '', BACKUP.join()]
  return { found: finished || 'nothing', wrong: possible.includes(finished) ? undefined : `there are ${names}` }
}

const backupIn = (path: string): string => join(dirname(path), 'backups')

const cases: Record<string, Case> = {
  'a restore over a database': { template: 'over', what: 'restore', judge: judgeOver },
  'a restore to where nothing is': { template: 'vacant', what: 'restore', judge: judgeVacant },
  'a restore over what SQLite cannot read': { template: 'damaged', what: 'restore', judge: judgeDamaged },
  'the same, with a log': { template: 'damaged-with-log', what: 'restore', judge: judgeDamaged },
  'a backup': { template: 'over', what: 'backup', judge: judgeBackup },
}

const caseOf = (name: string): Case => {
  const found = cases[name]
  if (found === undefined) throw new Error('There is no such case.')
  return found
}

/** Most are writes of one page after the other: of those, each so often; of all other calls each. */
const WRITES_EVERY = bound('SYSCALL_WRITES_EVERY', { short: 8, long: 1 })
const isTaken =
  (every: number) =>
  ({ call, number }: Point): boolean =>
    !call.startsWith('pwrite') || number % every === 1 % every

interface Extent {
  readonly every?: number
  readonly of?: RegExp
  /** It ends when so much is wrong. */
  readonly enough?: number
}

interface Killed {
  readonly points: number
  readonly killed: Record<string, number>
  readonly found: Record<string, number>
  readonly wrong: string[]
}

async function killEverywhere(
  { template, what, judge }: Case,
  from: Script,
  { every = WRITES_EVERY, of = /./, enough = Infinity }: Extent = {},
): Promise<Killed> {
  using folder = temporaryFolder()
  const place = (name: string): { path: string; command: string[] } => {
    cpSync(templates.file(template), folder.file(name), { recursive: true })
    const path = folder.file(name, 'mesh.db')
    const target = what === 'backup' ? join(backupIn(path), BACKUP[0] ?? '') : file
    return { path, command: [process.execPath, from.file, what, target, path] }
  }
  const points = pointsOf(folder, place('whole').command)
    .filter(isTaken(every))
    .filter(({ call }) => of.test(call))
  const result: Killed = { points: points.length, killed: {}, found: {}, wrong: [] }
  const count = (of: Record<string, number>, name: string): void => {
    of[name] = (of[name] ?? 0) + 1
  }
  const killOne = async (point: Point, index: number): Promise<void> => {
    const { path, command } = place(`${index}`)
    if (await killedAt(point, command)) count(result.killed, point.call)
    const { found, wrong } = judge(path, false)
    count(result.found, found)
    const where = `${point.call} ${point.number} of ${template}`
    if (wrong !== undefined) result.wrong.push(`${where}: ${wrong}`)
    const [program = '', ...args] = [process.execPath, script.file, ...command.slice(2)]
    const code = await run(program, args)
    // A backup that is finished is never replaced.
    const expected = what === 'backup' && found === BACKUP.join() ? 1 : 0
    if (code !== expected) result.wrong.push(`${where}: the next run ended with ${code}`)
    const next = judge(path, true)
    if (next.wrong !== undefined) result.wrong.push(`${where}, after the next run: ${next.wrong}`)
    if (what === 'backup')
      await verifyBackup(join(backupIn(path), BACKUP[0] ?? '')).catch((error) =>
        result.wrong.push(`${where}: ${error}`),
      )
  }
  for (const [index, point] of points.entries()) {
    await killOne(point, index)
    if (result.wrong.length >= enough) break
  }
  console.log(`${template}, ${what}: ${JSON.stringify({ ...result, wrong: result.wrong.length })}`)
  return result
}

describe.skipIf(!runs)('kill -9 at every write, sync, link, rename and removal of', () => {
  test.each(Object.entries(cases))('%s', TIMEOUT, async (_, of) => {
    const { points, killed, found, wrong } = await killEverywhere(of, script)
    shows(`${of.what} ${of.template}: killed at ${points} calls`)
    expect(wrong).toEqual([])
    expect(Object.keys(found).length).toBeGreaterThan(1)
    const kills = Object.values(killed).reduce((sum, each) => sum + each, 0)
    expect(kills).toBeGreaterThan(points * 0.9)
    for (const kind of [/^pwrite/, /sync$/, /^link|^rename/, /^unlink/])
      expect(Object.keys(killed).filter((call) => kind.test(call))).not.toEqual([])
  })

  test('finds a restore that copies over the file', TIMEOUT, async () => {
    // It copies in four writes.
    const extent = { every: 5, of: /^pwrite/, enough: 1 }
    expect((await killEverywhere(caseOf('a restore over a database'), hasty, extent)).wrong).not.toEqual([])
  })

  test('finds a backup that is written under its own name', TIMEOUT, async () => {
    const { wrong } = await killEverywhere(caseOf('a backup'), early, { enough: 1 })
    expect(planted.count).toBe(1)
    expect(wrong).toContainEqual(expect.stringMatching(/there are backup\.sqlite(,|$)/))
  })
})
